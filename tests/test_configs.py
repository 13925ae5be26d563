"""Every config is whole, builds, is listed, and the roads they describe can be walked."""
from __future__ import annotations

import ast
import copy
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from torchvision.models import resnet18, resnet50

import mmdense  # noqa: F401
from mmdense import registry
from mmdense.datasets.generate import ensure_scenes
from mmdense.tables.definition import read_table
from mmdense.tables.steps import Settings, chain

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
PRETRAINING = sorted(CONFIGS.glob('*.py'))
FINETUNING = sorted((CONFIGS / 'finetune').glob('*.py'))
TABLES = sorted((CONFIGS / 'tables').glob('*.py'))
#: registered, but put into a run by our tools, or a part for configs of the user's own
NOT_IN_CONFIGS = {
    'CPUDistributedDataParallel': 'tools/train.py sets it on CPU processes',
    'BFloat16OptimWrapper': 'tools/train.py --amp sets it on a CPU',
    'Solarize': "an option of a user's own views; BYOL and DetCon need it",
    'LabelFraction': "wraps a user's own dataset for the rows of a table",
    'LabelFreeValLoop': 'val_cfg of a user who has no labels; docs/evaluation.md',
    'StopBelowStartHook': "for a user's continuation of a run; docs/evaluation.md",
    'ShapeObjectsDataset': 'tools/make_shapes.py writes its data',
}

every_leaf = pytest.mark.parametrize('leaf', PRETRAINING + FINETUNING, ids=lambda path: path.stem)
every_pretraining = pytest.mark.parametrize('leaf', PRETRAINING, ids=lambda path: path.stem)
every_finetuning = pytest.mark.parametrize('leaf', FINETUNING, ids=lambda path: path.stem)


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    """A folder ``data`` with a few images in every layout that the configs name."""
    root = tmp_path_factory.mktemp('configs') / 'data'
    ensure_scenes(root / 'shapes', counts=dict(unlabelled=6, labelled=2, val=2))
    voc, camvid = root / 'VOCdevkit/VOC2012', root / 'camvid'
    for folder in ('JPEGImages', 'SegmentationClass', 'SegmentationClassAug'):
        write_images(voc / folder, ('a', 'b'))
    write_images(camvid / 'images/train', ('a', 'b'))
    write_images(camvid / 'annotations/train', ('a', 'b'))
    for path in (voc / 'ImageSets/Segmentation', camvid / 'splits'):
        path.mkdir(parents=True)
        for name in ('train', 'val', 'aug', 'trainaug', 'bank', 'bank_1of8', 'newdrive'):
            (path / f'{name}.txt').write_text('a\nb\n')
    for folder in ('imagenet/train/n0', 'coco/train2017', 'mine'):
        write_images(root / folder, ('a', 'b'))
    return root


def write_images(folder: Path, names: tuple[str, ...]) -> None:
    """Write images, or class ids where the folder is one of annotations."""
    folder.mkdir(parents=True)
    label = 'Segmentation' in folder.name or 'annotations' in str(folder)
    for name in names:
        image = np.random.default_rng(0).integers(0, 5 if label else 256, (90, 120, 3), np.uint8)
        cv2.imwrite(str(folder / f'{name}{".png" if label else ".jpg"}'),
                    image[..., 0] if label else image)


def read(leaf: Path, data: Path) -> Config:
    """Read a config with its data in the folder ``data``, no workers, and a folder named."""
    cfg = Config.fromfile(leaf)
    if leaf.stem == 'densecl_r50_folder':
        cfg.merge_from_dict({'train_dataloader.dataset.data_root': 'data/mine'})
    move(cfg._cfg_dict, data)
    return cfg


def move(node: dict | list | tuple, data: Path) -> None:
    """Change every ``data_root`` in a config, and let loaders work in this process."""
    for child in node.values() if isinstance(node, dict) else node:
        if isinstance(child, (dict, list, tuple)):
            move(child, data)
    if isinstance(node, dict):
        root = node.get('data_root')
        if isinstance(root, str) and root.startswith('data/'):
            node['data_root'] = str(data / root.removeprefix('data/'))
        if 'num_workers' in node:
            node.update(num_workers=0, persistent_workers=False)


def build(cfg: dict, kind=MODELS, scope: str = 'mmseg'):
    with DefaultScope.overwrite_default_scope(scope):
        return kind.build(copy.deepcopy(cfg))


@every_leaf
def test_is_formatted(leaf: Path):
    """What it is, its cost and its command first; the command's processes make the batch."""
    tree = ast.parse(leaf.read_text())
    doc = ast.get_docstring(tree)
    assert '\nCost: ' in doc and '\nData: ' in doc or leaf.stem == 'densecl_r50_folder'
    command = re.search(r'^Command: (tools/dist_train\.sh) (\S+) (\d+)', doc, re.M)
    assert (ROOT / command[1]).is_file() and command[2] == str(leaf.relative_to(ROOT))
    assert len(tree.body) <= 5, 'a leaf is bases and a few lines'
    bases = next(node for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(bases.value)[0].endswith('_base_/mmdense.py')
    cfg = Config.fromfile(leaf)
    assert cfg.auto_scale_lr.base_batch_size == int(command[3]) * cfg.train_dataloader.batch_size
    assert cfg.default_scope == 'mmseg' and cfg.randomness.seed == 0
    assert cfg.train_dataloader.sampler.type == 'mmdense.ResumableSampler'
    assert max(part.end for part in cfg.param_scheduler) == cfg.train_cfg.max_iters


@every_leaf
def test_model_builds_on_a_plain_resnet(leaf: Path):
    """The backbone has exactly torchvision's tensors, so that checkpoints fit 1:1."""
    cfg = Config.fromfile(leaf)
    with torch.device('meta'):  # shapes alone: no time for random numbers
        model = build(cfg.model)
        reference = {18: resnet18, 50: resnet50}[cfg.model.backbone.depth]()
    expected = {name: tuple(tensor.shape) for name, tensor in reference.state_dict().items()
                if not name.startswith('fc.')}
    assert {name: tuple(t.shape) for name, t in model.backbone.state_dict().items()} == expected


@every_leaf
def test_datasets_and_pipelines_build(leaf: Path, data: Path):
    cfg = read(leaf, data)
    train = build(cfg.train_dataloader.dataset, DATASETS)
    sample = train[len(train) - 1]
    if leaf in FINETUNING:
        assert sample['inputs'].dtype == torch.uint8 and 'gt_sem_seg' in sample['data_samples']
        assert build(cfg.val_dataloader.dataset, DATASETS).metainfo['classes'] is not None
        assert cfg.model.decode_head.num_classes == len(train.metainfo['classes'])
        return
    size = {'densecl_r18_camvid': 96, 'densecl_r18_shapes': 64}.get(leaf.stem, 224)
    assert [tuple(view.shape) for view in sample['inputs']] == [(3, size, size)] * 2
    for loader in (cfg.get('val_dataloader'), (cfg.get('val_cfg') or {}).get('memory')):
        if loader:
            labelled: BaseDataset = build(loader.dataset, DATASETS)
            assert 'gt_sem_seg' in labelled[0]['data_samples']


@every_finetuning
def test_segmentor_trains_on_its_own_crops(leaf: Path, data: Path):
    """Size of a padded batch, and the head's output stride."""
    if '_r50_' in leaf.name and not leaf.stem.startswith('mocofcn'):
        pytest.skip('the same stock head at ResNet-18 size is tested; saves time')
    cfg = read(leaf, data)
    train = build(cfg.train_dataloader.dataset, DATASETS)
    model = build(cfg.model).eval()
    batch = model.data_preprocessor(pseudo_collate([train[0], train[1]]), training=True)
    assert tuple(batch['inputs'].shape) == (2, 3, *cfg.crop_size)
    stride = 16 if leaf.stem.startswith('mocofcn') else 8
    with torch.no_grad():
        logits = model.decode_head(model.backbone(torch.zeros(1, 3, 64, 96)))
    assert tuple(logits.shape) == (1, cfg.num_classes, 64 // stride, 96 // stride)


def test_mocofcn_is_mocos_network():
    """1911.05722, appendix: two 3x3 convolutions, 256 channels, dilation 6, then 1x1."""
    head = build(Config.fromfile(CONFIGS / 'finetune/mocofcn_r50_voc12aug.py').model).decode_head
    convs = [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0]) for m in convs
            if m is not head.conv_seg] == [(2048, 256, 3, 6), (256, 256, 3, 6)]
    assert (head.conv_seg.in_channels, head.conv_seg.out_channels) == (256, 21)
    assert head.dropout is None and head.align_corners


def test_metafile_lists_every_config_and_nothing_else():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    metas = [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]
    models = [model for meta in metas for model in meta['Models']]
    collections = {entry['Name'] for meta in metas for entry in meta['Collections']}
    listed = [model['Config'] for model in models]
    assert sorted(listed) == sorted(str(p.relative_to(ROOT)) for p in PRETRAINING)
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] in collections
        method = Config.fromfile(ROOT / model['Config']).model.type
        assert method == f"mmdense.{model['In Collection']}"


def test_every_registered_class_is_in_a_config():
    registered = {name for reg in vars(registry).values()
                  if isinstance(reg, registry.MMDenseRegistry) for name in reg.module_dict
                  if reg.module_dict[name].__module__.startswith('mmdense.')}
    text = ''.join(path.read_text() for path in CONFIGS.rglob('*.py'))
    named = set(re.findall(r"'mmdense\.(\w+)'", text))
    assert named <= registered
    assert registered - named == set(NOT_IN_CONFIGS), 'a class that no config uses, or a list ' \
        'entry that is not needed any more'


def two_steps(cfg: Config, work_dir: Path, name: str) -> Path:
    """Train two iterations as a runner does; return the checkpoint."""
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = name
    cfg.merge_from_dict({
        'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_dataloader.batch_size': 2,
        'default_hooks.logger.interval': 1})
    Runner.from_cfg(cfg).train()
    return work_dir / 'iter_2.pth'


def test_pretrain_then_finetune_two_steps(data: Path, tmp_path: Path):
    """The road of the small world: the pretrained backbone is where fine-tuning starts."""
    cfg = read(CONFIGS / 'densecl_r18_shapes.py', data)
    cfg.merge_from_dict({'model.queue.size': 4, 'val_cfg.memory_size': 100})
    checkpoint = two_steps(cfg, tmp_path / 'pretrain', 'configs_pretrain')
    weights = torch.load(checkpoint, weights_only=False)['state_dict']
    assert weights['twin.steps'] == 2

    cfg = read(CONFIGS / 'finetune/mocofcn_r18_shapes.py', data)
    cfg.merge_from_dict({'model.backbone.init_cfg.checkpoint': str(checkpoint),
                         'val_dataloader.batch_size': 2})
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.0)
    tuned = torch.load(two_steps(cfg, tmp_path / 'finetune', 'configs_finetune'),
                       weights_only=False)['state_dict']
    learnt = [name for name in tuned if name.startswith('backbone.') and name.endswith('weight')]
    assert len(learnt) == 40
    for name in learnt:
        torch.testing.assert_close(tuned[name], weights[name], rtol=0, atol=0)


@pytest.mark.parametrize('base, backbone', [
    ('mmseg::pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512.py', 'mmseg.models'),
    ('mmpretrain::densecl/densecl_resnet50_8xb32-coslr-200e_in1k.py', 'mmpretrain.models'),
    ('mmdense::finetune/mocofcn_r18_shapes.py', 'mmseg.models')])
def test_inheritance_from_packages(base: str, backbone: str, tmp_path: Path):
    """A user's config anywhere inherits from installed packages, after our first base."""
    leaf = tmp_path / 'mine.py'
    first = [] if base.startswith('mmdense') else [str(CONFIGS / '_base_/mmdense.py')]
    leaf.write_text(f'_base_ = {[*first, base]}\nmodel = dict(pretrained=None)\n'
                    if 'mmseg' in base else f'_base_ = {[*first, base]}\n')
    cfg = Config.fromfile(leaf)
    model = build(cfg.model, scope=cfg.default_scope)
    assert type(model.backbone).__module__.startswith(backbone)


def test_frozen_evaluation_can_be_added_to_a_folder(tmp_path: Path):
    """As the docstring of densecl_r50_folder.py says."""
    leaf = tmp_path / 'mine.py'
    bases = [str(CONFIGS / name) for name in ('densecl_r50_folder.py',
                                              '_base_/datasets/frozen_voc.py')]
    leaf.write_text(f'_base_ = {bases}\n')
    cfg = Config.fromfile(leaf)
    assert cfg.val_cfg.type == 'mmdense.DenseKNNValLoop'
    assert cfg.train_dataloader.dataset.type == 'mmdense.UnlabelledDataset'


def test_a_checkpoint_can_be_chosen_as_the_page_says(tmp_path: Path):
    """The config of docs/evaluation.md reads, and its parts are known by their names."""
    page = (ROOT / 'docs/evaluation.md').read_text().split('## Choosing a checkpoint')[1]
    text = page.split('```python')[1].split('```')[0]
    leaf = tmp_path / 'mine.py'
    leaf.write_text(text.replace('densecl_r50_folder.py',
                                 str(CONFIGS / 'densecl_r50_folder.py')))
    cfg = Config.fromfile(leaf)
    assert cfg.val_evaluator == [] and registry.LOOPS.get(cfg.val_cfg.type)
    hooks = [hook.pop('type') for hook in cfg.custom_hooks]
    assert hooks == ['mmdense.FeatureMonitorHook', 'mmdense.SkippedImagesHook',
                     'mmdense.StopBelowStartHook']
    assert registry.HOOKS.get(hooks[2])(**cfg.custom_hooks[2]).patience == 3
    checkpoint = cfg.default_hooks.checkpoint
    hook = registry.HOOKS.get(checkpoint.pop('type'))(**checkpoint)
    assert hook.key_indicators == ['correspondence_accuracy'] and hook.rules == ['greater']


@pytest.mark.parametrize('path', TABLES, ids=lambda path: path.stem)
def test_every_table_can_be_run(path: Path):
    """It reads, its command is its own, and every step of every row can be planned."""
    table = read_table(path)
    command = f'Command: python tools/run_table.py {path.relative_to(ROOT)}'
    assert command in ast.get_docstring(ast.parse(path.read_text()))
    settings = Settings(Path('work_dirs/none'), ROOT / 'tools', budget=0.1)
    for row in table.rows:
        assert [step.name for step in chain(table, row, 0, settings)][1] == 'evaluate'
