"""From view dicts of numpy arrays to what the data loader collates."""
from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmdense.registry import TRANSFORMS
from mmdense.structures import ViewSample


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Pack ``results['views']`` into ``inputs``, V tensors (C, h, w), and a `ViewSample`.

    Its ``index`` is -1 where the sample has no index in a dataset.
    """

    def transform(self, results: dict) -> dict:
        """Return ``dict(inputs=…, data_samples=…)``.

        Raises:
            ValueError: there are no views, or a region id is below 0 or above 2 ** 31 - 1.
        """
        if 'views' not in results:
            raise ValueError("PackViews found no results['views']: put mmdense.MultiView before it")
        views = results['views']
        inputs = [torch.from_numpy(np.ascontiguousarray(view['img'].transpose(2, 0, 1)))
                  for view in views]
        fields = dict(boxes=torch.from_numpy(np.stack([view['box'] for view in views])),
                      flips=torch.tensor([view['flip'] for view in views]))
        meta = dict(img_path=results.get('img_path'), ori_shape=results.get('ori_shape'),
                    index=int(results.get('sample_idx', -1)))
        if 'regions' in results:
            low = int(results['regions'].min())
            high = max(int(ids.max()) for ids in (results['regions'],
                                                  *(view['regions'] for view in views)))
            if low < 0 or high >= 2 ** 31:
                raise ValueError(f'{meta["img_path"]}: region id {low if low < 0 else high}; '
                                 'expected 0, no region, to 2147483647')
            # what workers hand over, and what goes to the GPU, is a quarter in 8 bits
            kind = np.uint8 if high < 2 ** 8 else np.int32
            fields['regions'] = [torch.from_numpy(view['regions'].astype(kind)) for view in views]
            meta['num_regions'] = high
        sample = ViewSample(**fields, metainfo=meta)
        return dict(inputs=inputs, data_samples=sample)
