"""Every config is whole, builds, is listed, and the roads they describe can be walked."""
from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DATASETS
from references.configs import (
    CONFIGS,
    FINETUNING,
    PRETRAINING,
    ROOT,
    STOCK,
    build,
    build_shapes,
    make_data,
    read,
    two_steps,
)
from torchvision.models import resnet18, resnet50

from mmdense import registry

#: registered, but put into a run by our tools, or a part for configs of the user's own
NOT_IN_CONFIGS = {
    'CPUDistributedDataParallel': 'tools/train.py sets it on CPU processes',
    'BFloat16OptimWrapper': 'tools/train.py --amp sets it on a CPU',
    'LabelCountsHook': 'every runner has it; its option is in docs/evaluation.md',
    'LabelFreeValLoop': 'val_cfg of a user who has no labels; docs/evaluation.md',
    'MultibandSegDataPreProcessor': 'for images of more than three bands; docs/images.md',
    'StopBelowStartHook': "for a user's continuation of a run; docs/evaluation.md",
}
#: collections of the metafile that are no method of ours, and whose model they train
COLLECTIONS = {'Supervised': 'mmpretrain.ImageClassifier'}

every_leaf = pytest.mark.parametrize('leaf', PRETRAINING + STOCK + FINETUNING,
                                     ids=lambda path: path.stem)
every_finetuning = pytest.mark.parametrize('leaf', FINETUNING, ids=lambda path: path.stem)


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp('configs') / 'data')


@every_leaf
def test_is_formatted(leaf: Path):
    """What it is, its cost and its command first; the command's processes make the batch."""
    tree = ast.parse(leaf.read_text())
    doc = ast.get_docstring(tree)
    assert '\nCost: ' in doc and ('\nData: ' in doc or '_r50_folder' in leaf.stem)
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
    model = build_shapes(cfg.model)
    with torch.device('meta'):
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
    size = 224 if '_r50_' in leaf.stem else 64 if 'shape' in leaf.stem else 96
    views = sample['inputs']
    if leaf.stem.startswith('supervised'):
        assert 0 <= sample['data_samples'].gt_label < cfg.model.head.num_classes
        assert cfg.model.head.num_classes == len(train.metainfo['classes'])
        views = [views, views]
    assert [tuple(view.shape) for view in views[:2]] == [(3, size, size)] * 2
    assert len(views) == (3 if leaf.stem.endswith('_clustered') else 2)
    if leaf.stem.startswith('detcon'):
        given = cfg.model.regions.type == 'mmdense.GivenRegions'
        assert ('regions' in sample['data_samples']) == given
        assert not given or sample['data_samples'].regions[0].max() > 0
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


@pytest.mark.parametrize(('name', 'batch', 'steps', 'warmup'), [
    ('in1k', 1024, 1000 * 1251, 10 * 1251), ('voc', 256, 1600 * 41, 16 * 41)])
def test_detcon_b_is_the_authors_program(name, batch, steps, warmup):
    """google-deepmind/detcon: detcon_b_config.py, detcon_b.py, main_loop.py, utils/."""
    cfg = Config.fromfile(CONFIGS / f'detcon_b_r50_{name}.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == 'mmdense.LARS' and cfg.auto_scale_lr.base_batch_size == batch
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay, optimizer.eta) == (
        pytest.approx(0.2 * batch / 256), 0.9, 1.5e-6, 1e-3)
    rise, fall = cfg.param_scheduler
    assert (rise.begin, rise.end, fall.begin, fall.end) == (0, warmup, warmup, steps)
    assert fall.eta_min == 0 and cfg.train_cfg.max_iters == steps
    model = build(cfg.model)
    assert (model.twin.momentum, model.twin.end_momentum) == (0.996, 1.0)
    assert model.num_samples == 16 and model.two_views
    assert (cfg.model.loss.temperature, cfg.model.loss.local_negatives) == (0.1, True)
    for head, channels in ((model.projector, 2048), (model.predictor, 256)):
        layers = [m for m in head.modules() if isinstance(m, torch.nn.Linear)]
        assert [tuple(m.weight.shape) for m in layers] == [(4096, channels), (256, 4096)]
        assert layers[-1].bias is None
    views = next(t for t in cfg.train_dataloader.dataset.pipeline
                 if t.type == 'mmdense.MultiView')['views']
    for view, blur, solarize in zip(views, (1.0, 0.1), (0.0, 0.2), strict=True):
        found = {t.type.partition('.')[2]: t for t in view}
        crop, jitter = found['RandomResizedCrop'], found['ColorJitter']
        assert (crop.size, crop.area, crop.aspect) == (224, (0.08, 1.0), (3 / 4, 4 / 3))
        assert found['RandomFlip'].prob == 0.5 and found['RandomGrayscale'].prob == 0.2
        assert [jitter[key] for key in ('brightness', 'contrast', 'saturation', 'hue', 'prob')] \
            == [0.4, 0.4, 0.2, 0.1, 0.8]
        assert (found['GaussianBlur'].sigma, found['GaussianBlur'].prob) == ((0.1, 2.0), blur)
        assert found.get('Solarize', {}).get('prob', 0.0) == solarize


@pytest.mark.parametrize('leaf', sorted(CONFIGS.glob('detcon_s_r50_*.py')), ids=lambda p: p.stem)
def test_detcon_s_says_what_is_ours(leaf):
    assert 'are ours' in ast.get_docstring(ast.parse(leaf.read_text()))


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
        assert method == COLLECTIONS.get(model['In Collection'],
                                         f"mmdense.{model['In Collection']}")


def test_every_registered_class_is_in_a_config():
    registered = {name for reg in vars(registry).values()
                  if isinstance(reg, registry.MMDenseRegistry) for name in reg.module_dict
                  if reg.module_dict[name].__module__.startswith('mmdense.')}
    text = ''.join(path.read_text() for path in CONFIGS.rglob('*.py'))
    named = set(re.findall(r"'mmdense\.(\w+)'", text))
    assert named <= registered
    assert registered - named == set(NOT_IN_CONFIGS), 'a class that no config uses, or a list ' \
        'entry that is not needed any more'


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


@pytest.mark.parametrize('name', ['detcon_b_r18_shapes', 'detcon_b_r18_shapes_clustered',
                                  'detcon_b_r18_shapes_soft', 'detcon_s_r18_shapes'])
def test_detcon_trains_two_steps(name: str, data: Path, tmp_path: Path):
    """Whatever its regions; the twin, where there is one, has followed and is in the checkpoint."""
    cfg = read(CONFIGS / f'{name}.py', data)
    cfg.val_cfg.memory_size = 100
    saved = torch.load(two_steps(cfg, tmp_path, f'configs_{name}'), weights_only=False)
    weights = saved['state_dict']
    assert (weights['twin.steps'] == 2) if '_b_' in name else not any('twin' in n for n in weights)
    learnt = 'regions.prototypes' in weights
    assert learnt == name.endswith('soft') and all(t.isfinite().all() for t in weights.values())
    views, networks, whole = 2, 2 if '_b_' in name else 1, name.endswith('clustered')
    assert saved['message_hub']['runtime_info']['forwards'] == 2 * 2 * (views * networks + whole)
    logged = next(tmp_path.glob('*/*.log')).read_text()
    assert 'loss_region: ' in logged and ('loss_balance: ' in logged) == learnt


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
                     'mmdense.ForwardCountHook', 'mmdense.StopBelowStartHook']
    assert registry.HOOKS.get(hooks[3])(**cfg.custom_hooks[3]).patience == 3
    checkpoint = cfg.default_hooks.checkpoint
    hook = registry.HOOKS.get(checkpoint.pop('type'))(**checkpoint)
    assert hook.key_indicators == ['correspondence_accuracy'] and hook.rules == ['greater']
