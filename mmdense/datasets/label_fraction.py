"""A share of the labelled images of any dataset, drawn so that smaller shares are parts of larger.

Fine-tuning on 1, 1/2, … 1/128 of the labels shows what pretraining saves (label efficiency).
"""
from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mmseg.datasets  # noqa: F401  (registers the stock datasets that a config may wrap)
import numpy as np
from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS as MMSEG_DATASETS

from mmdense.mistakes import WrongValue
from mmdense.registry import DATASETS

from .dataset_paths import check_dataset_paths

#: 1, 1/2, 1/4, … 1/128
FRACTIONS = tuple(Fraction(1, 2 ** power) for power in range(8))


def parse_fraction(fraction: Fraction | str) -> Fraction:
    """Return ``fraction`` as an exact number, such as ``'1/8'``.

    Raises:
        ValueError: none of ``FRACTIONS``.
    """
    try:
        exact = Fraction(fraction)
    except (TypeError, ValueError, ArithmeticError):
        exact = None
    if exact not in FRACTIONS:
        raise WrongValue(f'fraction={str(fraction)!r}; expected one of '
                         f'{", ".join(map(str, FRACTIONS))}')
    return exact


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2 ** 32:
        raise WrongValue(f'seed={seed!r}; expected an integer from 0 to 2**32 - 1')


def draw(groups: Sequence[str], fraction: Fraction | str, seed: int) -> list[int]:
    """Draw a share of the members of each group.

    Of a group of n members, round(n * fraction) are drawn, halves to the even number, but at least
    one; so many small groups give more than ``fraction`` in all. Each group's members are
    permuted by one stream of ``numpy.random.RandomState(seed)`` (MT19937, whose numbers numpy
    keeps for all releases), the groups in order of their first member, and the first are taken:
    the same on every machine, and a smaller fraction draws a part of what a larger one does.

    Args:
        groups: the group of each of N members.
        fraction: one of ``FRACTIONS``.
        seed: 0 to 2³² - 1.

    Returns:
        rising numbers below N.

    Raises:
        ValueError: another fraction or seed; no members.
    """
    share = parse_fraction(fraction)
    _check_seed(seed)
    if not len(groups):
        raise WrongValue(f'there are no images to take {share} of; expected at least one')
    members: dict[str, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)
    stream = np.random.RandomState(seed)
    drawn: list[int] = []
    for numbers in members.values():
        # whole, whatever the fraction: the groups after this one are not to depend on it
        order = stream.permutation(len(numbers))
        drawn += [numbers[i] for i in order[:max(1, round(len(numbers) * share))]]
    return sorted(drawn)


def label_fraction(names: Sequence[str], fraction: Fraction | str, seed: int,
                   groups: Sequence[str] | None = None) -> list[str]:
    """Return a share of ``names``, in their order; see :func:`draw` for which.

    Args:
        names: of the labelled images. The draw goes by place in this list, not by name: another
            order gives another share.
        fraction: 1, 1/2, 1/4, … or 1/128, as ``'1/8'`` or ``Fraction(1, 8)``.
        seed: 0 to 2³² - 1.
        groups: the group of each name, which all get their share; None = one group of all.

    Raises:
        ValueError: another fraction or seed; no names; not one group a name.
    """
    if groups is None:
        groups = [''] * len(names)
    if len(groups) != len(names):
        raise WrongValue(f'{len(groups)} groups for {len(names)} names; expected one group per '
                         'name')
    return [names[number] for number in draw(groups, fraction, seed)]


def group_of(path: str, prefix: str, group: str) -> str:
    """Return the group that an image belongs to.

    Args:
        path: of the image.
        prefix: the folder that the images are in (``data_prefix['img_path']``).
        group: ``'folder'``: the first folder of the path below ``prefix`` (Cityscapes' cities); or
            a regular expression that is searched in the path below ``prefix`` and whose first
            group names it (``r'^([^_]+)_'``: the drives of CamVid, ``0001TP`` of
            ``0001TP_006690.png``).

    Raises:
        ValueError: the image has no such group.
    """
    below = os.path.relpath(path, prefix or '.').replace(os.sep, '/')
    if group == 'folder':
        folder, slash, _ = below.partition('/')
        if not slash or folder == '..':
            raise WrongValue(f"group='folder': {path} is in no folder of {prefix or '.'}; expected "
                             'images in folders below it (data_prefix.img_path)')
        return folder
    found = re.search(group, below)
    if found is None or found[1] is None:
        raise WrongValue(f'group={group!r} is not found in {below} ({path}); expected a regular '
                         'expression whose first group is in the path of every image')
    return found[1]


def _check_group(group: str | None) -> None:
    if group is None or group == 'folder':
        return
    try:
        groups = re.compile(group).groups
    except (re.error, TypeError):
        groups = 0
    if not groups:
        raise WrongValue(f"LabelFraction: group={group!r}; expected None, 'folder' or a regular "
                         r"expression with a group in parentheses, such as r'^([^_]+)_'")


@DATASETS.register_module()
class LabelFraction:
    """A share of the images of any dataset, which otherwise stays as it is.

    Which images, is said at :func:`draw`; samples are numbered anew, from 0. Of a ConcatDataset
    the parts are to be wrapped, each in its own ``LabelFraction``.

    Args:
        dataset: config of a dataset of mmseg's or on mmengine's ``BaseDataset``, with its
            pipeline.
        fraction: 1, 1/2, 1/4, … or 1/128, as ``'1/8'``.
        seed: of the draw; a smaller fraction of the same seed is a part of a larger one.
        group: what gets its own share and at least one image: None, ``'folder'`` or a regular
            expression, see :func:`group_of`.
        lazy_init: whether listing and drawing wait for ``full_init``.

    Raises:
        FileNotFoundError: the dataset's files are not there, see
            :func:`~mmdense.datasets.dataset_paths.check_dataset_paths`.
        ValueError: another fraction, seed or group; a dataset that is empty or of another kind;
            an image without a group.
    """

    def __init__(self, dataset: dict, fraction: Fraction | str = '1/8', seed: int = 0,
                 group: str | None = None, lazy_init: bool = False) -> None:
        self.fraction, self.seed, self.group = parse_fraction(fraction), seed, group
        _check_seed(seed)
        _check_group(group)
        if not isinstance(dataset, dict):
            # a dataset that somebody else holds too is not to lose its images
            raise WrongValue(f'LabelFraction: dataset is of type {type(dataset).__name__}; '
                             "expected a dataset's config (a dict)")
        if not lazy_init:
            # stock datasets end wordlessly, or in numpy, where nothing is
            check_dataset_paths(dataset, 'LabelFraction')
        self.dataset = MMSEG_DATASETS.build(dataset)
        if not isinstance(self.dataset, BaseDataset):
            raise WrongValue(f'LabelFraction: dataset is a {type(self.dataset).__name__}; expected '
                             'one on BaseDataset. Wrap the datasets inside it instead')
        self._drawn = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """The wrapped dataset's metainfo, including classes and palette."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """List the images and keep the drawn ones, unless that was done."""
        if self._drawn:
            return
        self.dataset.full_init()
        if not len(self.dataset):
            where = os.path.abspath(self.dataset.ann_file or self._prefix())
            raise WrongValue(f'LabelFraction: {type(self.dataset).__name__} has no images to take '
                             f'{self.fraction} of; expected at least one in {where}')
        # in the dataset itself: what takes another sample's place is drawn from the share, too
        self.dataset.get_subset_(draw(self._groups(), self.fraction, self.seed))
        self._drawn = True

    def _prefix(self) -> str:
        return self.dataset.data_prefix.get('img_path') or self.dataset.data_root or '.'

    def _groups(self) -> list[str]:
        count = len(self.dataset)
        if self.group is None:
            return [''] * count
        samples = [self.dataset.get_data_info(number) for number in range(count)]
        if 'img_path' not in samples[0]:
            raise WrongValue(f'LabelFraction: samples of {type(self.dataset).__name__} hold '
                             f'{sorted(samples[0])}; expected img_path among them')
        return [group_of(sample['img_path'], self._prefix(), self.group) for sample in samples]

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of image ``idx`` of the share, before the pipeline."""
        self.full_init()
        return self.dataset.get_data_info(idx)

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        return self.dataset[idx]

    def __len__(self) -> int:
        self.full_init()
        return len(self.dataset)
