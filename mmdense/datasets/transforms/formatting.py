"""From view dicts of numpy arrays to what the data loader collates."""
from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmdense.digests import image_number
from mmdense.mistakes import WrongValue
from mmdense.registry import TRANSFORMS
from mmdense.structures import ViewSample


def image_index(results: dict) -> int:
    """Return a number from 0 to 2 ** 63 - 1 that is the image's own, whatever the datasets around.

    It is a hash of ``img_path``: datasets in a ConcatDataset all count from 0, RepeatDataset and
    others name an image by several numbers, and two parts may hold the same file. Without a path
    it is ``sample_idx``; without both, -1.
    """
    path = results.get('img_path')
    if path is None:
        return int(results.get('sample_idx', -1))
    return image_number(path)


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Pack ``results['views']`` into ``inputs``, V tensors (C, h, w), and a `ViewSample`.

    Its ``index`` is :func:`image_index`. A view's ``target`` and ``mask`` (arrays that a transform
    at the end of its pipeline made) go along, as ``targets`` and ``masks``.
    """

    def transform(self, results: dict) -> dict:
        """Return ``dict(inputs=…, data_samples=…)``.

        Raises:
            ValueError: there are no views, or a region id is below 0 or above 2 ** 31 - 1.
        """
        if 'views' not in results:
            raise WrongValue("PackViews found no results['views']: put mmdense.MultiView before it")
        views = results['views']
        inputs = [torch.from_numpy(np.ascontiguousarray(view['img'].transpose(2, 0, 1)))
                  for view in views]
        fields = dict(boxes=torch.from_numpy(np.stack([view['box'] for view in views])),
                      flips=torch.tensor([view['flip'] for view in views]))
        meta = dict(img_path=results.get('img_path'), ori_shape=results.get('ori_shape'),
                    img_shape=results['img'].shape[:2], index=image_index(results))
        for name in ('target', 'mask'):
            given = [view.get(name) for view in views]
            if any(one is not None for one in given):
                fields[f'{name}s'] = [None if one is None else torch.as_tensor(one)
                                      for one in given]
        if 'regions' in results:
            low = int(results['regions'].min())
            high = max(int(ids.max()) for ids in (results['regions'],
                                                  *(view['regions'] for view in views)))
            if low < 0 or high >= 2 ** 31:
                raise WrongValue(f'{meta["img_path"]}: region id {low if low < 0 else high}; '
                                 'expected 0, no region, to 2147483647')
            # what workers hand over, and what goes to the GPU, is a quarter in 8 bits
            kind = np.uint8 if high < 2 ** 8 else np.int32
            fields['regions'] = [torch.from_numpy(view['regions'].astype(kind)) for view in views]
            meta['num_regions'] = high
        sample = ViewSample(**fields, metainfo=meta)
        return dict(inputs=inputs, data_samples=sample)
