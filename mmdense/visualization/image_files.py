"""Chosen image files seen through a config's pretraining pipeline."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose

from mmdense.mistakes import MissingFile, WrongValue


class ImageFiles:
    """Image files through a pretraining pipeline, as a dataset.

    Raises:
        FileNotFoundError: one is not there.
        ValueError: there is no pipeline, or it loads labels, which a file alone does not have.
    """

    def __init__(self, files: Sequence[str], pipeline: list[dict] | None) -> None:
        for file in files:
            if not Path(file).is_file():
                raise MissingFile(f'--images {file}: no such file')
        if pipeline is None:
            raise WrongValue('train_dataloader.dataset has no pipeline for --images')
        self.files, self.pipeline = files, Compose(pipeline)
        if any(isinstance(step, LoadAnnotations) for step in self.pipeline.transforms):
            raise WrongValue(f"--images {' '.join(files)}: the config's pipeline loads labels, "
                             'which image files do not have; leave --images away to draw images '
                             "of the config's dataset, or take a config without LoadAnnotations")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict:
        return self.pipeline(dict(img_path=self.files[index], sample_idx=index))
