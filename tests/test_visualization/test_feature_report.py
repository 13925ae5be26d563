from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from references import labelled, tiny

from mmdense.datasets.dataset_configs import find_pipeline
from mmdense.models.necks import CooccurrenceContext, NeighbourContext, PixelPropagation
from mmdense.visualization import ImageFiles, draw_report, draw_segmentations
from mmdense.visualization.colour_figure import painted
from mmdense.visualization.context_figure import influence

VIEW = [dict(type='mmdense.RandomResizedCrop', size=64), dict(type='mmdense.RandomFlip')]
PIPELINE = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
            dict(type='mmdense.MultiView', views=[VIEW], num_views=[2]),
            dict(type='mmdense.PackViews')]
PREPROCESSOR = dict(type='mmdense.ViewsPreprocessor')


@pytest.fixture
def files(tmp_path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / f'{number}.png') for number in range(3)]
    for number, path in enumerate(paths):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(path, cv2.resize(small, (96 + 16 * number, 72)))
    return paths


def test_a_report_is_drawn_alike_every_time_and_leaves_no_trace(tmp_path, files):
    model, dataset = tiny.build(data_preprocessor=PREPROCESSOR), ImageFiles(files, PIPELINE)
    state = torch.get_rng_state()
    paths = draw_report(model, dataset, tmp_path / 'a', num_images=2)
    assert [path.name for path in paths] == ['matches_0.png', 'similarity_0.png', 'matches_1.png',
                                             'similarity_1.png', 'features.png']
    assert torch.equal(state, torch.get_rng_state()) and model.training
    for path, again in zip(paths, draw_report(model, dataset, tmp_path / 'b', num_images=2),
                           strict=True):
        assert min(cv2.imread(str(path)).shape[:2]) > 150
        assert path.read_bytes() == again.read_bytes()


@pytest.mark.situation('commands', "`tools/visualize.py` with another loader than the folder's "
                       "default (one band, five in npy, float32, mmseg's loader)", 'works',
                       "images are drawn as the config's own transforms load them")
@pytest.mark.parametrize('load, channels', [
    ([dict(type='mmdense.LoadImage', channels=1)], 1),
    ([dict(type='mmdense.LoadImage', channels=5)], 5),
    ([dict(type='mmdense.LoadImage', to_float32=True)], 3),
    ([dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64))], 3)])
def test_images_are_drawn_as_the_pipeline_loads_them(tmp_path, load, channels):
    rng = np.random.default_rng(0)
    for number in range(2):
        image = rng.integers(0, 256, (72, 96, channels), dtype=np.uint8)
        if channels == 5:
            np.save(tmp_path / f'{number}.npy', image)
        else:
            cv2.imwrite(str(tmp_path / f'{number}.png'), image)
    files = sorted(map(str, tmp_path.iterdir()))
    model = tiny.build(backbone={**tiny.BACKBONE, 'in_channels': channels}, data_preprocessor=dict(
        PREPROCESSOR, mean=[100] * channels, std=[50] * channels))
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = ImageFiles(files, [PIPELINE[0], *load, *PIPELINE[2:]])
    paths = draw_report(model, dataset, tmp_path / 'out', num_images=2)
    assert len(paths) == 5 and all(path.is_file() for path in paths)


def test_the_chosen_cell_moves_and_must_be_in_the_image(tmp_path, files):
    model, dataset = tiny.build(data_preprocessor=PREPROCESSOR), ImageFiles(files, PIPELINE)
    drawn = [draw_report(model, dataset, tmp_path / f'{x}', 1, (x, 20))[1].read_bytes()
             for x in (10, 80)]
    assert drawn[0] != drawn[1]
    with pytest.raises(ValueError, match=r'cell \(200, 20\) is outside .*0.png of 96 x 72 pixels'):
        draw_report(model, dataset, tmp_path / 'c', 1, (200, 20))
    with pytest.raises(ValueError, match='no images'):
        draw_report(model, ImageFiles([], PIPELINE), tmp_path / 'd')


class Oracle(torch.nn.Module):
    def test_step(self, batch: dict) -> list:
        sample = batch['data_samples'][0]
        sample.pred_sem_seg = sample.gt_sem_seg
        return [sample]


def test_segmentations_are_drawn(tmp_path):
    cfg = labelled.write(tmp_path, 'val', [labelled.blocks(seed) for seed in range(3)])
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = DATASETS.build(cfg)
    path, = draw_segmentations(Oracle(), dataset, tmp_path / 'out', num_images=2)
    drawn = cv2.imread(str(path))
    assert path.name == 'predictions.png'
    for colour in np.eye(3) * 255:                        # of the images, as of the palette
        assert (np.abs(drawn - colour).max(-1) < 3).sum() > 500


def test_a_file_or_pipeline_that_is_missing_is_named(files):
    with pytest.raises(FileNotFoundError, match='--images nowhere.jpg: no such file'):
        ImageFiles([files[0], 'nowhere.jpg'], PIPELINE)
    inner = dict(type='A', pipeline=PIPELINE)
    for dataset in (inner, dict(type='B', dataset=inner), dict(type='C', datasets=[inner, inner])):
        assert find_pipeline(dataset) is PIPELINE
    with pytest.raises(ValueError, match='train_dataloader.dataset has no pipeline for --images'):
        ImageFiles(files, find_pipeline(dict(type='D', dataset=dict(type='E'))))


def test_the_tool_draws_given_images(tmp_path, files, repo):
    config = tmp_path / 'config.py'
    Config(dict(default_scope='mmseg', custom_imports=dict(imports=['mmdense']),
                model=tiny.config(data_preprocessor=PREPROCESSOR),
                train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dict(
                    type='mmdense.UnlabelledDataset', data_root=str(tmp_path),
                    pipeline=PIPELINE))))).dump(config)
    model = tiny.build(data_preprocessor=PREPROCESSOR)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    done = subprocess.run(
        [sys.executable, 'tools/visualize.py', str(config), str(tmp_path / 'weights.pth'),
         '--images', *files[:2], '--cell', '5,70', '--out', str(tmp_path / 'out')],
        cwd=repo, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'matches_0.png', 'similarity_0.png', 'matches_1.png', 'similarity_1.png', 'features.png'}


def test_a_method_of_places_draws_its_pairs(tmp_path, files):
    model = tiny.build_location(data_preprocessor=PREPROCESSOR, num_grid=4)
    paths = draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'a', num_images=2)
    places = [path for path in paths if path.name.startswith('places_')]
    assert [path.name for path in places] == ['places_0.png', 'places_1.png'] and model.training
    again = draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'b', num_images=2)
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes() and cv2.imread(str(path)) is not None


@pytest.mark.parametrize('kind', ['PixelPropagation', 'CooccurrenceContext'])
def test_what_a_context_neck_looks_at_is_drawn(kind, tmp_path, files):
    """Of a method that pairs cells by place, those pairs too; the same every time."""
    model = tiny.build_plmoco(data_preprocessor=PREPROCESSOR, context=dict(type=f'mmdense.{kind}'))
    paths = draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'a', num_images=1)
    assert {'places_0.png', 'context_0.png'} <= {path.name for path in paths} and model.training
    again = draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'b', num_images=1)
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes() and cv2.imread(str(path)) is not None


def test_turned_patches_are_drawn(tmp_path, files):
    """With what is predicted of them, the same every time; of one view nothing is matched."""
    view = [dict(type='mmdense.RandomResizedCrop', size=64), dict(type='mmdense.PatchRotate')]
    pipeline = [*PIPELINE[:2], dict(type='mmdense.MultiView', views=[view]), PIPELINE[-1]]
    model = tiny.build_rotation(data_preprocessor=PREPROCESSOR)
    drawn = [draw_report(model, ImageFiles(files, pipeline), tmp_path / name, num_images=1)
             for name in 'ab']
    assert [path.name for path in drawn[0]] == ['similarity_0.png', 'patches.png', 'features.png']
    assert drawn[0][1].read_bytes() == drawn[1][1].read_bytes() and model.training
    with pytest.raises(ValueError, match=r'no angles to draw; expected mmdense.PatchRotate'):
        draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'c', num_images=2)


def test_neighbouring_patches_are_views_to_draw(tmp_path, files):
    pipeline = [*PIPELINE[:2], dict(type='mmdense.RelativePatches', size=32, gap=4, jitter=2),
                PIPELINE[-1]]
    model = tiny.build_pretext('RelativePosition', data_preprocessor=PREPROCESSOR)
    paths = draw_report(model, ImageFiles(files, pipeline), tmp_path, num_images=1)
    assert [path.name for path in paths] == ['matches_0.png', 'similarity_0.png', 'features.png']


def test_colours_are_drawn(tmp_path, files):
    """The same every time; and what is painted in the true colours is the image."""
    view = [dict(type='mmdense.RandomResizedCrop', size=64), dict(type='mmdense.ColourTarget')]
    pipeline = [*PIPELINE[:2], dict(type='mmdense.MultiView', views=[view]), PIPELINE[-1]]
    model = tiny.build_pretext('Colorization', data_preprocessor=PREPROCESSOR)
    drawn = [draw_report(model, ImageFiles(files, pipeline), tmp_path / name, num_images=1)
             for name in 'ab']
    assert drawn[0][-2].name == 'colours.png' and model.training
    assert drawn[0][-2].read_bytes() == drawn[1][-2].read_bytes()
    with pytest.raises(ValueError, match=r'no colours to draw; expected mmdense.ColourTarget'):
        draw_report(model, ImageFiles(files, PIPELINE), tmp_path / 'c', num_images=2)
    image = np.full((8, 8, 3), (40, 90, 200), np.uint8)
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    chroma = lab[::4, ::4, 1:].transpose(2, 0, 1).astype(float) - 128
    assert np.abs(painted(lab[..., 0], chroma)[..., ::-1].astype(int) - image).max() <= 2


def test_the_influence_of_a_cell_is_its_neighbourhood():
    """All of the others in a propagation of equal cells, the square around it, or itself."""
    cells = torch.ones(1, 4, 5, 5)
    reach = {kind: influence(neck.eval(), cells + 0.01 * torch.randn(1, 4, 5, 5), 2, 1) > 0
             for kind, neck in dict(all=PixelPropagation(4), near=NeighbourContext(4),
                                    own=CooccurrenceContext(4)).items()}
    square = torch.zeros(5, 5, dtype=torch.bool)
    square[1:4, :3] = True
    own = torch.zeros(5, 5, dtype=torch.bool)
    own[2, 1] = True
    assert reach['all'].all()
    assert torch.equal(reach['near'], square) and torch.equal(reach['own'], own)


def test_composites_are_drawn_of_three_images_or_more(tmp_path, files):
    """The same ones every time, and no trace is left."""
    model, dataset = tiny.build_cp2(data_preprocessor=PREPROCESSOR), ImageFiles(files, PIPELINE)
    state = torch.get_rng_state()
    drawn = [draw_report(model, dataset, tmp_path / name, num_images=3)[-2] for name in 'ab']
    assert drawn[0].name == 'composites.png' and torch.equal(state, torch.get_rng_state())
    assert drawn[0].read_bytes() == drawn[1].read_bytes()
    with pytest.raises(ValueError, match=r'composites of 2 image\(s\).*at least 3 images'):
        draw_report(model, dataset, tmp_path / 'c', num_images=2)
