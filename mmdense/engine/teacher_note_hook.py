"""A student's checkpoints say who taught it, and under which licence the teacher stands."""
from __future__ import annotations

import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmdense.files import write_whole
from mmdense.models.teacher import Teacher
from mmdense.registry import HOOKS


def notes_of(model: nn.Module) -> dict[str, dict]:
    """Return what is said of the teachers inside a model, by the name of the module they teach."""
    return {name or 'model': module.teacher.note() for name, module in model.named_modules()
            if isinstance(getattr(module, 'teacher', None), Teacher)}


@HOOKS.register_module()
class TeacherNoteHook(Hook):
    """Writes a teacher's name, licence and file to ``teacher.json`` and into each checkpoint.

    In the run's folder, and in a checkpoint under ``meta.teachers``. Of a model without a teacher
    there is nothing.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write ``teacher.json``."""
        if notes := notes_of(runner.model):
            write_whole(json.dumps(notes, indent=1).encode(), Path(runner.work_dir, 'teacher.json'))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the notes to the checkpoint."""
        if notes := notes_of(runner.model):
            checkpoint.setdefault('meta', {})['teachers'] = notes
