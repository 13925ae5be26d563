"""Which part of a backbone a checkpoint fills, and what to change if that is not all."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from mmdense.mistakes import WrongValue

from .hints import hints
from .layouts import Selection, containers, find_backbone
from .values import some_of

#: first parts of names that belong to a classifier or another head, not to a backbone
HEADS = ('fc', 'head', 'heads', 'classifier', 'last_linear', 'projection_head', 'prototypes',
         'mlp_head', 'head_dist', 'pre_logits', 'neck', 'projector', 'predictor')


@dataclass(frozen=True)
class LoadReport:
    """How a checkpoint's tensors match a backbone's.

    Counted are parameters and floating point buffers (BatchNorm's statistics); counters such as
    ``num_batches_tracked`` and index tables are copied where they are there, and not counted.

    Attributes:
        checkpoint: the file as the user named it.
        module: class name of the backbone.
        place: where in the file the tensors were found, in words.
        matched: names with the same shape on both sides.
        missing: names of the backbone that the file has not.
        mismatched: (name, shape in the file, shape in the backbone).
        unexpected: names under the chosen prefix that the backbone has not.
        left_over: names of heads and of other networks in the file.
        hints: what to change in the config, one sentence each.
    """

    checkpoint: str
    module: str
    place: str
    matched: list[str]
    missing: list[str]
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    unexpected: list[str]
    left_over: list[str]
    hints: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of counted tensors of the backbone."""
        return len(self.matched) + len(self.missing) + len(self.mismatched)

    @property
    def coverage(self) -> float:
        """Share of the backbone's counted tensors that the file fills, in [0, 1]."""
        return len(self.matched) / max(self.total, 1)

    @property
    def complete(self) -> bool:
        """Whether the file fills all of the backbone and is of the same build.

        All of a ResNet-18 is in a ResNet-34's file by name and shape, and is no ResNet-18.
        """
        return self.coverage == 1 and not self.hints

    def headline(self) -> str:
        """Return the share that the file fills, in one line."""
        percent = int(1000 * self.coverage) / 10  # rounded down: only all is 100 %
        return (f'{self.checkpoint} fills {len(self.matched)} of {self.total} tensors '
                f'({percent} %) of {self.module}')

    def summary(self) -> str:
        """Return the headline and what to change, in one line."""
        return '; '.join([self.headline(), *self.hints])

    def __str__(self) -> str:
        shapes = [f'{name} {list(file)} in the file, {list(own)} in the model'
                  for name, file, own in self.mismatched]
        groups = Counter(name.split('.')[0] for name in self.left_over)
        left = [f'{name} ({count})' for name, count in groups.items()]
        rows = [('found', [self.place]), ('missing', self.missing), ('shape mismatch', shapes),
                ('unexpected', self.unexpected), ('left over', left), ('change', self.hints)]
        return '\n'.join([f'weights of the backbone: {self.headline()}',
                          *(f'  {title + ":":<16}{listing(title, items)}'
                            for title, items in rows if items)])


def listing(title: str, items: list[str], most: int = 6) -> str:
    """Return the first items as one line, with the total number if some are left out."""
    if title == 'change':
        return '; '.join(items)
    more = f', … ({len(items)} in all)' if len(items) > most else ''
    return ', '.join(items[:most]) + more


def counted(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of parameters and floating point buffers."""
    return [name for name, tensor in state.items() if tensor.is_floating_point()]


def examine(module: nn.Module, checkpoint: Mapping, name: str,
            prefix: str | None = None) -> tuple[LoadReport, dict[str, Tensor]]:
    """Return the report of a checkpoint against a backbone, and the tensors to copy, by name.

    Args:
        module: the backbone.
        checkpoint: what :func:`read_checkpoint` returned.
        name: the file, for the report.
        prefix: as of :func:`find_backbone`.

    Raises:
        ValueError: no tensor of the file fits the backbone by name and shape, or the file has whole
            numbers where the backbone has floats.
    """
    target = module.state_dict()
    found = find_backbone(checkpoint, target, prefix)
    if found is None:
        raise WrongValue(nothing_fits(checkpoint, target, name, type(module).__name__, prefix))
    whole = [n for n in counted(target) if n in found.tensors
             and not found.tensors[n].is_floating_point()]
    if whole:
        raise WrongValue(f'{name}: {some_of(whole, target)} of {type(module).__name__} are '
                         f'{found.tensors[whole[0]].dtype} in the file, expected floats')
    report = compare(found, target, name, type(module).__name__)
    if not report.matched:
        raise WrongValue(report.summary())
    return report, {n: t for n, t in found.tensors.items()
                    if n in target and t.shape == target[n].shape}


def compare(found: Selection, target: Mapping[str, Tensor], name: str,
            module: str) -> LoadReport:
    """Return the report of a part of a checkpoint against a module's tensors."""
    names = counted(target)
    both = [n for n in names if n in found.tensors]
    extra = [n for n in found.tensors if n not in target]
    heads = [n for n in extra if n.split('.')[0] in HEADS]
    return LoadReport(
        checkpoint=name, module=module, place=found.place,
        matched=[n for n in both if found.tensors[n].shape == target[n].shape],
        missing=[n for n in names if n not in found.tensors],
        mismatched=[(n, tuple(found.tensors[n].shape), tuple(target[n].shape))
                    for n in both if found.tensors[n].shape != target[n].shape],
        # a file without prefix mixes backbone and heads, named or not, at one level
        unexpected=[n for n in extra if n not in heads],
        left_over=heads + found.others,
        hints=hints(found.tensors, target))


def nothing_fits(checkpoint: Mapping, target: Mapping[str, Tensor], name: str, module: str,
                 prefix: str | None) -> str:
    """Return the error for a file that has none of the backbone's names."""
    parts = containers(checkpoint)
    if not parts:
        return f'{name} holds no named tensors: its keys are {listing("", list(checkpoint))}'
    groups = Counter('.'.join(key.split('.')[:2]) for part in parts.values() for key in part)
    where = '' if prefix is None else f" under prefix='{prefix}'"
    return (f'{name} has no tensor of {module}{where}: expected names such as '
            f'{listing("", counted(target), 3)}, the file has {listing("", list(groups))}')
