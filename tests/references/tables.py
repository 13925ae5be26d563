"""A table in a folder, and commands that only leave their files."""
from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image

from steps.running import StepFailed

from . import tiny

PRETRAIN = '''
_base_ = ['{root}/configs/_base_/mmdense.py']
default_scope = 'mmseg'
model = {model}
train_dataloader = dict(batch_size=4)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=200)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end=400, T_max=380),
    dict(type='MultiStepLR', by_epoch=False, milestones=[300, 350])]
default_hooks = dict(checkpoint=dict(interval=50))
'''

TABLE = '''
rows = [dict(name='random', pretrain=None), dict(name='DenseCL, a', pretrain='pretrain.py'),
        dict(name='wider', pretrain='pretrain.py', options={'model.queue.size': 8})]
evaluate = dict(config='pretrain.py', protocols=['knn', 'correspondence'], layers=['C4', 'C5'])
finetune = dict(config='pretrain.py', rows=['wider'], learning_rates=[1e-3, 3e-3])
seeds = [0, 1]
published = [dict(name='theirs', metric='mIoU', value=64.5, source='a paper')]
'''


class Commands:
    """Notes commands and leaves what they would leave; ``fail`` and ``stop`` name one of them."""

    def __init__(self) -> None:
        self.run: list[list[str]] = []
        self.settings: list[dict] = []
        self.fail = self.stop = ''
        self.quick = True      # for tests of the tool: no plots

    def __call__(self, command: list[str], log: Path, **kwargs) -> None:
        self.run.append(command)
        self.settings.append(kwargs)
        text = ' '.join(command)
        log.write_text('the reason\n')
        if self.stop and self.stop in text:
            raise KeyboardInterrupt
        if self.fail and self.fail in text:
            raise StepFailed('ended with 3; the end of its log:\nthe reason')
        seed = int(text.partition('/seed')[2][0])
        if 'dist_train' in command[0]:
            folder = Path(command[command.index('--work-dir') + 1])
            torch.save(dict(text=text, message_hub=dict(runtime_info=dict(forwards=100))),
                       folder / 'iter_9.pth')
            (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
        elif 'evaluate.py' in command[1]:
            mean = (10 if '/random/' in text else 20) + seed
            for part in ('images', 'labels', 'predictions'):
                written = Path(command[command.index('--predictions') + 1]) / part / '0.png'
                written.parent.mkdir(parents=True)
                Image.new('RGB', (24, 16), (50 * seed, 200, 0)).save(written)
            knn = dict(mIoU=mean, position_prior_mIoU=5.5, ceiling_mIoU=75.25)
            found = {layer: dict(knn=knn, correspondence=dict(within_1=mean / 2))
                     for layer in ('C4', 'C5')}
            Path(command[command.index('--json') + 1]).write_text(json.dumps(dict(results=found)))
        else:
            folder = Path(command[command.index('--work-dir') + 1]) / '20260101'
            folder.mkdir()
            score = (40 if 'lr0.003' in text else 30) + seed
            (folder / 'a.json').write_text(json.dumps(dict(mIoU=score)))

    def named(self, word: str) -> list[list[str]]:
        return [command for command in self.run if word in ' '.join(command)]


def write_table(folder: Path, repo: Path) -> Path:
    """Write a table with a random row and two trained ones, and their config; return its path."""
    model = tiny.config(data_preprocessor=dict(type='mmdense.ViewsPreprocessor'))
    (folder / 'pretrain.py').write_text(PRETRAIN.format(root=repo, model=model))
    path = folder / 'table.py'
    path.write_text(TABLE)
    return path
