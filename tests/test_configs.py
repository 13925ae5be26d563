"""Every config is whole, builds, is listed, and the roads they describe can be walked."""
from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS
from references.commands import build_with_tool, call_tool, quick_runs  # noqa: F401
from references.configs import (
    CONFIGS,
    FINETUNING,
    PRETRAINING,
    ROOT,
    build,
    build_shapes,
    make_data,
    parsed,
    read,
    row_file,
    small_options,
    two_steps,
    views_of,
    words,
)
from torchvision.models import resnet18, resnet50

from mmdense import registry
from mmdense.engine.check import check_config
from mmdense.engine.options import find, merge_options
from mmdense.engine.recipe import read_facts
from mmdense.engine.run_config import prepare

#: registered, but put into a run by our tools, or a part for configs of the user's own
NOT_IN_CONFIGS = {
    'CPUDistributedDataParallel': 'tools/train.py sets it on CPU processes',
    'DistributedDataParallel': 'tools/train.py sets it on several GPUs',
    'BFloat16OptimWrapper': 'tools/train.py --amp sets it on a CPU',
    'LabelCountsHook': 'every runner has it; its option is in docs/evaluation.md',
    'LabelFreeValLoop': 'val_cfg of a user who has no labels; docs/evaluation.md',
    'MultibandSegDataPreProcessor': 'for images of more than three bands; docs/images.md',
    'L2SP': 'model.penalties of a continued run; docs/continuing.md',
    'GramLoss': 'of a FeatureAnchor; docs/continuing.md',
    'CellCosineLoss': 'likewise',
    'CombinedBackbone': 'what combine of MultiTask makes; docs/methods/pretexts.md',
    'StopBelowStartHook': "for a user's continuation of a run; docs/evaluation.md",
}
#: one for each method (three are in multitask) and each decoder, on VOC, COCO and ImageNet: two
#: steps in every run of the tests; MoCoFCN and small ones of every method are below, mmpretrain's
#: in test_config_rows.py
QUICK = ('densecl_r50_voc', 'moco_r50_voc', 'detcon_b_r50_coco', 'detcon_s_r50_in1k',
         'location_r50_voc', 'cp2_r50_voc', 'plmoco_r50_voc', 'pledmoco_r50_voc', 'vader_r50_in1k',
         'plr_r50_voc', 'motion_segmentation_r50_clips', 'multitask_r50_in1k',
         'distill_r50_voc', 'paka_r50_voc',
         'edmoco_pspnet_r50_voc', 'pixpro_r50_in1k', 'pixcontrast_r50_voc', 'pspnet_r50_voc12aug',
         'deeplabv3plus_r50_voc12aug', 'nonlocal_r50_voc12aug')

every_leaf = pytest.mark.parametrize('leaf', PRETRAINING + FINETUNING,
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
    assert len(tree.body) <= 9, 'a leaf is bases and a few lines'
    bases = next(node for node in tree.body if isinstance(node, ast.Assign))
    assert ast.literal_eval(bases.value)[0].endswith('_base_/mmdense.py')
    cfg = parsed(leaf)
    assert cfg.auto_scale_lr.base_batch_size == int(command[3]) * cfg.train_dataloader.batch_size
    assert cfg.default_scope == 'mmseg' and cfg.randomness.seed == 0
    assert cfg.train_dataloader.sampler.type == (
        'mmdense.MultiTaskSampler' if 'tasks' in cfg.model else 'mmdense.ResumableSampler')
    assert max(part.end for part in cfg.param_scheduler) == cfg.train_cfg.max_iters


@every_leaf
def test_model_builds_on_a_plain_resnet(leaf: Path):
    """The backbone has exactly torchvision's tensors, so that checkpoints fit 1:1."""
    cfg = parsed(leaf)
    model = build_shapes(cfg.model)
    with torch.device('meta'):
        reference = {18: resnet18, 50: resnet50}[cfg.model.backbone.depth]()
    expected = {name: tuple(tensor.shape) for name, tensor in reference.state_dict().items()
                if not name.startswith('fc.')}
    assert {name: tuple(t.shape) for name, t in model.backbone.state_dict().items()} == expected


@pytest.mark.parametrize('leaf', [
    # a continuation is a config that stands above it, with another decoder or length
    pytest.param(leaf, id=leaf.stem, marks=(pytest.mark.full,) if leaf.parent.name == 'continue'
                 else ()) for leaf in PRETRAINING + FINETUNING])
@pytest.mark.usefixtures('quick_runs')
def test_a_leaf_builds_its_run(leaf: Path, data: Path, tmp_path: Path, monkeypatch):
    """With tools/train.py, the folders it names and all its loops; samples are what it says."""
    monkeypatch.setattr(Config, 'fromfile', staticmethod(parsed))
    monkeypatch.chdir(data.parent)
    runner = build_with_tool('train', leaf, '--work-dir', tmp_path, *words(small_options(leaf)),
                             cwd=data.parent)
    prepare(runner.cfg, ('test_dataloader',))
    for loop in (runner.val_loop, runner.test_loop):
        for loader in (loop.dataloader, getattr(loop, 'memory_loader', None)) if loop else ():
            assert loader is None or 'gt_sem_seg' in loader.dataset[0]['data_samples']
    train, model = runner.train_loop.dataloader.dataset, runner.cfg.model
    sample = train[len(train) - 1]
    if 'tasks' in model:
        assert {name: [tuple(view.shape) for view in task['inputs']]
                for name, (task,) in sample.items()} == dict(
            position=[(3, 96, 96)] * 2, exemplar=[(3, 96, 96)] * 2, colour=[(3, 224, 224)])
        return
    if leaf in FINETUNING:
        assert sample['inputs'].dtype == torch.uint8 and 'gt_sem_seg' in sample['data_samples']
        classes = runner.val_loop.dataloader.dataset.metainfo['classes']
        assert model.decode_head.num_classes == len(train.metainfo['classes']) == len(classes)
        return
    size = 64 if 'shapes' in leaf.stem else 96 if '_r50_' not in leaf.stem or leaf.stem.startswith(
        ('relative_position', 'exemplar')) else 224
    sizes = [112, 224] if leaf.stem == 'distill_r18_animals' else [
        112 if 'animals' in leaf.stem else size] * views_of(model)
    assert [tuple(view.shape) for view in sample['inputs']] == [(3, side, side) for side in sizes]
    if leaf.stem.startswith(('detcon', 'motion')):
        assert sample['data_samples'].regions[0].max() > 0


@pytest.mark.parametrize('leaf', [
    pytest.param(leaf, id=leaf.stem, marks=() if leaf.stem in QUICK else pytest.mark.full)
    for leaf in (*PRETRAINING, *FINETUNING)])
@pytest.mark.usefixtures('quick_runs')
def test_a_leaf_takes_two_steps(leaf: Path, data: Path, tmp_path: Path):
    """And is validated, where it has labels."""
    weights = torch.load(two_steps(leaf, data, tmp_path), weights_only=False)['state_dict']
    assert all(tensor.isfinite().all() for tensor in weights.values())
    logged = next(tmp_path.glob('*/*.log')).read_text()
    assert ' loss: ' in logged or ' loss_' in logged
    assert (' mIoU: ' in logged) == (parsed(leaf).get('val_cfg') is not None)


@pytest.mark.parametrize('leaf', sorted(CONFIGS.glob('*_folder.py')), ids=lambda path: path.stem)
def test_every_folder_config_has_the_same_three_keys(leaf: Path, data: Path, monkeypatch):
    """Folder, batch and length; also those with regions. They arrive in what is built."""
    monkeypatch.chdir(data.parent)
    options = {'train_dataloader.dataset.data_root': 'data/mine',
               'train_dataloader.batch_size': 2, 'train_cfg.max_iters': 7}
    cfg = parsed(leaf)
    assert all(find(cfg, key) != value for key, value in options.items())
    merge_options(cfg, {key: str(value) for key, value in options.items()})
    assert {key: find(cfg, key) for key in options} == options
    found = build(cfg.train_dataloader.dataset, DATASETS)
    assert {Path(found.get_data_info(n)['img_path']).parent.name for n in range(len(found))} == {
        'mine'}
    assert len(found[0]['inputs']) == views_of(cfg.model)


@pytest.mark.situation('settings', 'tools/check.py of a config of several tasks', 'works',
                       'the data of each task, and the settings of all')
def test_several_tasks_are_checked_one_by_one(data: Path):
    cfg = read(CONFIGS / 'multitask_r50_in1k.py', data)
    cfg.merge_from_dict({'train_dataloader.dataset.shares': dict(colour=3)})
    found = check_config(cfg, read_facts(cfg, 1))
    said = {finding.subject: finding.text for finding in found}
    assert said['position: run'].startswith('6 images, batch 32 x 1 ')
    assert said['colour: run'].startswith('6 images, batch 96 x 1 ')
    assert {'position: crop', 'exemplar: values', 'learning rate', 'BatchNorm'} <= said.keys()
    assert said['time'].startswith('not measured: several tasks')
    del cfg.train_dataloader.dataset.datasets['colour'], cfg.train_dataloader.dataset['shares']
    with pytest.raises(ValueError, match="task 'colour' has no data; expected train_dataloader"):
        check_config(cfg, read_facts(cfg, 1))


def test_harmonised_inputs_are_as_the_page_says(data: Path, tmp_path: Path):
    """The block of docs/methods/pretexts.md: every task sees three equal channels."""
    lines, lasso = re.findall(r'```python\n(_base_ = .*?)```',
                              (ROOT / 'docs/methods/pretexts.md').read_text(), re.DOTALL)
    (tmp_path / 'lasso.py').write_text(lasso.replace("'multitask", f"'{CONFIGS}/multitask"))
    cfg = read(tmp_path / 'lasso.py', data)
    assert cfg.custom_hooks[-1].type == 'mmdense.LassoHook'
    assert build_shapes(cfg.model).combinations['colour'].alpha.shape == (6,)
    for text, alike in ((lines, True), (lines.splitlines()[0], False)):
        leaf = tmp_path / f'{alike}.py'
        leaf.write_text(text.replace("'multitask", f"'{CONFIGS}/multitask"))
        sample = build(read(leaf, data).train_dataloader.dataset, DATASETS)[0]
        for name, (task,) in sample.items():
            grey = all(torch.equal(view[0], view[1]) and torch.equal(view[0], view[2])
                       for view in task['inputs'])
            assert grey == (alike or name == 'colour'), name


@pytest.mark.parametrize('lines', re.findall(
    r'```python\n(_base_ = .*?)```', (ROOT / 'docs/methods/detcon.md').read_text(), re.DOTALL))
def test_regions_are_chosen_as_the_page_says(lines: str, data: Path, tmp_path: Path):
    """The blocks of docs/methods/detcon.md: the samples have what the regions need."""
    leaf = tmp_path / 'mine.py'
    leaf.write_text(lines.replace("'detcon", f"'{CONFIGS}/detcon"))
    cfg = read(leaf, data)
    if 'folder' in lines:
        cfg.train_dataloader.dataset.data_root = str(data / 'mine')
    build_shapes(cfg.model)
    sample = build(cfg.train_dataloader.dataset, DATASETS)[0]
    given = cfg.model.regions.type == 'mmdense.GivenRegions'
    assert ('regions' in sample['data_samples']) == given
    assert len(sample['inputs']) == (3 if 'clustered' in lines else 2)


@pytest.mark.parametrize('lines', re.findall(
    r'```python\n(.*?)```', (ROOT / 'docs/removing.md').read_text().replace('\n  ', '\n'),
    re.DOTALL))
def test_what_is_removed_is_as_the_page_says(lines: str, data: Path, tmp_path: Path):
    """The blocks of docs/removing.md: a penalty is built, and grey views are grey."""
    leaf = tmp_path / 'mine.py'
    leaf.write_text(lines.replace("'densecl", f"'{CONFIGS}/densecl"))
    cfg = read(leaf, data)
    cfg.train_dataloader.dataset.data_root = str(data / 'mine')
    penalties = build_shapes(cfg.model).penalties
    found = build(cfg.train_dataloader.dataset, DATASETS)
    views = [view for n in range(len(found)) for view in found[n]['inputs']]
    assert {tuple(view.shape) for view in views} == {(3, 224, 224)} and len(views) == 12
    grey = [bool((view[0] == view[1]).all()) for view in views]
    assert ('place' in penalties and not all(grey)) or (not penalties and all(grey))


@every_finetuning
def test_segmentor_trains_on_its_own_crops(leaf: Path, data: Path):
    """Size of a padded batch, and the head's output stride."""
    cfg = read(leaf, data)
    train = build(cfg.train_dataloader.dataset, DATASETS)
    model = build(cfg.model).eval()
    batch = model.data_preprocessor(pseudo_collate([train[0], train[1]]), training=True)
    assert tuple(batch['inputs'].shape) == (2, 3, *cfg.crop_size)
    # DeepLabv3+ decodes at the stride of its low-level map
    stride = dict(mocofcn=16, deeplabv3plus=4).get(leaf.stem.partition('_')[0], 8)
    with torch.no_grad():
        logits = model.decode_head(model.backbone(torch.zeros(1, 3, 64, 96)))
    assert tuple(logits.shape) == (1, cfg.num_classes, 64 // stride, 96 // stride)


def test_mocofcn_is_mocos_network():
    """1911.05722, appendix: two 3x3 convolutions, 256 channels, dilation 6, then 1x1."""
    head = build(parsed(CONFIGS / 'finetune/mocofcn_r50_voc12aug.py').model).decode_head
    convs = [m for m in head.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0]) for m in convs
            if m is not head.conv_seg] == [(2048, 256, 3, 6), (256, 256, 3, 6)]
    assert (head.conv_seg.in_channels, head.conv_seg.out_channels) == (256, 21)
    assert head.dropout is None and head.align_corners


@pytest.mark.parametrize(('name', 'batch', 'steps', 'warmup'), [
    ('in1k', 1024, 1000 * 1251, 10 * 1251), ('voc', 256, 1600 * 41, 16 * 41)])
def test_detcon_b_is_the_authors_program(name, batch, steps, warmup):
    """google-deepmind/detcon: detcon_b_config.py, detcon_b.py, main_loop.py, utils/."""
    cfg = parsed(CONFIGS / f'detcon_b_r50_{name}.py')
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
        method = parsed(ROOT / model['Config']).model.type
        assert method == f"mmdense.{model['In Collection']}"


@pytest.mark.parametrize('name', ['pledmoco_r50_folder', 'continue/edmoco_pspnet_r50_voc'])
def test_the_encoder_moves_at_a_hundredth_of_the_rate(name: str):
    """In the optimiser that the run has; decoder and heads at the rate itself."""
    cfg = parsed(CONFIGS / f'{name}.py')
    model = build_shapes(cfg.model)
    rate = cfg.optim_wrapper.optimizer.lr
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    for part, expected in ((model.backbone, rate / 100), (model.decode_head, rate),
                           (model.projector, rate)):
        found = {rates[id(p)] for p in part.parameters() if p.requires_grad}
        assert [*found] == [pytest.approx(expected)]


def test_every_registered_class_is_in_a_config():
    registered = {name for reg in vars(registry).values()
                  if isinstance(reg, registry.MMDenseRegistry) for name in reg.module_dict
                  if reg.module_dict[name].__module__.startswith('mmdense.')}
    text = ''.join(path.read_text() for path in CONFIGS.rglob('*.py'))
    named = set(re.findall(r"'mmdense\.(\w+)'", text))
    assert named <= registered
    assert registered - named == set(NOT_IN_CONFIGS), 'a class that no config uses, or a list ' \
        'entry that is not needed any more'


@pytest.mark.usefixtures('quick_runs')
@pytest.mark.situation('the road', 'a fine-tuning config whose dataset is an `mmseg::…` base\'s '
                       '(VOC aug)', 'works', 'train, test, evaluate, check and visualize')
def test_a_stock_dataset_goes_through_every_tool(data: Path, tmp_path: Path, capsys):
    leaf = CONFIGS / 'finetune/mocofcn_r50_voc12aug.py'
    checkpoint = two_steps(leaf, data, tmp_path / 'train')
    small = words({**small_options(leaf), 'val_cfg.memory_size': 100})
    for tool, arguments in (('test', [checkpoint, '--work-dir', tmp_path / 'test']),
                            ('evaluate', [checkpoint, '--no-random']), ('check', ['--no-measure']),
                            ('visualize', [checkpoint, '--num', 1, '--out', tmp_path / 'out'])):
        call_tool(tool, leaf, *arguments, *small, cwd=data.parent)
    said = capsys.readouterr().out
    assert ' mIoU: ' in said and '"knn": {' in said and 'images' in said
    assert (tmp_path / 'out/predictions.png').is_file()


@pytest.mark.usefixtures('quick_runs')
def test_pretrain_then_finetune_two_steps(data: Path, tmp_path: Path):
    """The road of the small world: the pretrained backbone is where fine-tuning starts."""
    checkpoint = two_steps(CONFIGS / 'densecl_r18_shapes.py', data, tmp_path / 'pretrain')
    saved = torch.load(checkpoint, weights_only=False)
    weights = saved['state_dict']
    assert weights['twin.steps'] == saved['meta']['iter'] == 3

    checkpoint = two_steps(CONFIGS / 'finetune/mocofcn_r18_shapes.py', data, tmp_path / 'finetune',
                           **{'model.backbone.init_cfg.checkpoint': str(checkpoint),
                              'optim_wrapper.optimizer.lr': 0.0})
    tuned = torch.load(checkpoint, weights_only=False)['state_dict']
    learnt = [name for name in tuned if name.startswith('backbone.') and name.endswith('weight')]
    assert len(learnt) == 42    # the narrow network's first stage has a shortcut more
    for name in learnt:
        torch.testing.assert_close(tuned[name], weights[name], rtol=0, atol=0)


@pytest.mark.parametrize('name', ['FH', 'clustered', 'soft', 'DetCon_S, FH'])
@pytest.mark.usefixtures('quick_runs')
def test_detcon_trains_with_its_regions(name: str, data: Path, tmp_path: Path):
    """Whatever its regions; the twin, where there is one, has followed and is in the checkpoint."""
    leaf = row_file('detcon_ablation', name, tmp_path / 'configs')
    saved = torch.load(two_steps(leaf, data, tmp_path), weights_only=False)
    weights, steps = saved['state_dict'], saved['meta']['iter']
    twin = name != 'DetCon_S, FH'
    assert (weights['twin.steps'] == steps) if twin else not any(
        'twin' in n for n in weights)
    learnt = 'regions.prototypes' in weights
    assert learnt == (name == 'soft') and all(t.isfinite().all() for t in weights.values())
    views, networks, whole = 2, 1 + twin, name == 'clustered'
    forwards = saved['message_hub']['runtime_info']['forwards']
    assert forwards == steps * 2 * (views * networks + whole)
    logged = next(tmp_path.glob('*/*.log')).read_text()
    assert 'loss_region: ' in logged and ('loss_balance: ' in logged) == learnt


@pytest.mark.parametrize('base, backbone', [
    ('mmseg::pspnet/pspnet_r50-d8_4xb4-20k_voc12aug-512x512.py', 'mmseg.models'),
    ('mmpretrain::densecl/densecl_resnet50_8xb32-coslr-200e_in1k.py', 'mmpretrain.models'),
    ('mmdense::finetune/mocofcn_r18_shapes.py', 'mmseg.models'),
    ('mmdense::densecl_r18_shapes.py', 'mmseg.models')])
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
                     'mmdense.ForwardCountHook', 'mmdense.ConfusionHook',
                     'mmdense.TeacherNoteHook', 'mmdense.UnusedParametersHook',
                     'mmdense.StopBelowStartHook']
    assert registry.HOOKS.get(hooks[-1])(**cfg.custom_hooks[-1]).patience == 3
    checkpoint = cfg.default_hooks.checkpoint
    hook = registry.HOOKS.get(checkpoint.pop('type'))(**checkpoint)
    assert hook.key_indicators == ['correspondence_accuracy'] and hook.rules == ['greater']
