"""What ``tools/test.py`` writes beside the numbers: predictions as files, and painted ones."""
from __future__ import annotations

from mmengine.config import Config
from mmengine.logging import print_log

from mmdense.mistakes import WrongValue
from mmdense.outputs import make_output_folder

from .from_config import is_segmentor, where_labelled


def _require_segmentor(cfg: Config, option: str) -> None:
    model = cfg.model.get('module', cfg.model)      # inside of test time augmentation
    if not is_segmentor(Config(dict(model=model))):
        raise WrongValue(f'{option} is of a segmentor, and the config has {model["type"]}; '
                         'tools/visualize.py draws what a pretrained network sees, and '
                         'tools/evaluate.py --predictions writes what k-NN predicts')


def write_predictions(cfg: Config, folder: str) -> None:
    """Let the test write each prediction as a PNG of class ids into ``folder`` (``--out``).

    Without labels, in the pipeline or on the disk, nothing is measured, and a line says so.

    Raises:
        FileNotFoundError: the test images are not there.
        OSError: the folder cannot be made.
        ValueError: no segmentor, or no ``IoUMetric``, which writes predictions.
    """
    _require_segmentor(cfg, '--out')
    given = cfg.test_evaluator
    metrics = [one for one in (given if isinstance(given, (list, tuple)) else [given])
               if str(one.get('type')).endswith('IoUMetric')]
    if not metrics:
        raise WrongValue(f'--out: test_evaluator is {given!r:.100}; expected an IoUMetric, which '
                         'writes predictions')
    make_output_folder(folder, '--out')
    loader = where_labelled(cfg.test_dataloader, 'test_dataloader', labels=False)
    asked, labelled = ('LoadAnnotations' in repr(one['dataset'])
                       for one in (cfg.test_dataloader, loader))
    if not labelled:
        which = 'not all test images have label maps' if asked else 'the pipeline loads no labels'
        print_log(f'--out: {which}; predictions are written, and nothing is measured', 'current')
        cfg.test_evaluator = metrics
    cfg.test_dataloader = loader
    for metric in metrics:
        metric.update(output_dir=folder, keep_results=True, format_only=not labelled)


def paint_predictions(cfg: Config, show: bool, folder: str | None, wait_time: float) -> None:
    """Let the test draw its predictions, in a window or into ``folder`` (``--show-dir``).

    A config without a visualizer gets mmseg's.

    Raises:
        OSError: the folder cannot be made.
        ValueError: no segmentor.
    """
    _require_segmentor(cfg, '--show-dir' if folder else '--show')
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('visualization') or dict(type='SegVisualizationHook')
    cfg.default_hooks = {**hooks, 'visualization': {**hook, 'draw': True, 'show': show,
                                                    'wait_time': wait_time}}
    visualizer = cfg.get('visualizer') or dict(
        type='SegLocalVisualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')])
    if folder:
        make_output_folder(folder, '--show-dir')
        visualizer = {**visualizer, 'save_dir': folder}
    cfg.visualizer = visualizer
