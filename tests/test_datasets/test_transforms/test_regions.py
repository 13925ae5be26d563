"""Region ids in the pipeline: from files, on the fly, from labels, and on into the views."""
from __future__ import annotations

import shlex
import sys

import cv2
import numpy as np
import pytest
import torch

from mmdense.datasets.transforms import LoadRegions, MakeRegions, RegionsFromAnnotations
from mmdense.regions import RegionFileError, felzenszwalb, grid_regions, make_folder, write_regions
from mmdense.registry import TRANSFORMS


@pytest.fixture
def sample(tmp_path) -> dict:
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (3, 4, 3)).astype(np.uint8)
    image = cv2.resize(blocks, (80, 60), interpolation=cv2.INTER_NEAREST)
    path = tmp_path / 'images/a/b.png'
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), image)
    return dict(img=image, img_path=str(path), ori_shape=(60, 80), sample_idx=3)


def test_files_and_the_fly_give_the_same_regions(sample, tmp_path):
    options = dict(scale=30, min_size=0.01)
    images, out = str(tmp_path / 'images'), str(tmp_path / 'out')
    make_folder(images, [sample['img_path']], out, options=options)
    read = LoadRegions(images, out)(dict(sample))['regions']
    made = MakeRegions(dict(method='fh', **options))(dict(sample))['regions']
    assert np.array_equal(read, made) and made.max() >= 12
    assert np.array_equal(made, felzenszwalb(sample['img'], **options))


def test_colours_reach_a_method_as_rgb(sample, monkeypatch):
    from mmdense.regions import METHODS
    seen = []
    monkeypatch.setitem(METHODS, 'slic', lambda image: seen.append(image) or image[..., 0] + 1)
    MakeRegions(dict(method='slic'))(sample)
    assert np.array_equal(seen[-1], sample['img'][..., ::-1])


def test_a_view_carries_its_part_of_the_regions(sample):
    """Ids follow the pixels when a view is mirrored."""
    pack = [dict(type='mmdense.MakeRegions', sources=dict(method='grid', cells=(1, 2))),
            dict(type='mmdense.MultiView', views=[[dict(type='mmdense.RandomFlip', prob=1.0)], []]),
            dict(type='mmdense.PackViews')]
    for transform in pack:
        sample = TRANSFORMS.build(transform)(sample)
    flipped, plain = sample['data_samples'].regions
    assert plain.dtype == torch.uint8 and plain[0].tolist() == [1] * 40 + [2] * 40
    assert flipped[0].tolist() == [2] * 40 + [1] * 40


def test_of_several_sources_one_is_drawn(sample, tmp_path):
    np.random.seed(0)
    make = MakeRegions([dict(method='grid', cells=n) for n in (1, 2, 3)])
    assert {make(dict(sample))['regions'].max() for _ in range(40)} == {1, 4, 9}
    for n in (1, 2):
        write_regions(tmp_path / f'{n}/a/b.png', grid_regions(sample['img'], n))
    load = LoadRegions(str(tmp_path / 'images'), [str(tmp_path / '1'), str(tmp_path / '2')])
    assert {load(dict(sample))['regions'].max() for _ in range(40)} == {1, 4}


def test_a_sample_may_name_its_file(sample, tmp_path):
    write_regions(tmp_path / 'c.npz', grid_regions(sample['img'], 3))
    found = LoadRegions()(dict(sample, region_path=str(tmp_path / 'c.npz')))
    assert found['regions'].max() == 9
    with pytest.raises(ValueError, match='has no region_path'):
        LoadRegions()(sample)


def test_a_missing_file_is_answered_with_a_command_that_makes_it(sample, tmp_path, repo,
                                                                 monkeypatch):
    images, out = str(tmp_path / 'images'), str(tmp_path / 'out')
    load = LoadRegions(images, out)
    with pytest.raises(FileNotFoundError, match=r'out/a/b\.png: no region file of .*a/b\.png') as e:
        load(dict(sample))
    assert shlex.split(str(e.value).partition('with: ')[2]) == [
        'python', 'tools/make_regions.py', images, out, '--method', 'fh']
    # the config says how
    load.source = dict(method='slic', n_segments=9)
    with pytest.raises(FileNotFoundError, match=r'--method slic --options n_segments=9$'):
        load(dict(sample))
    load.source = 'the maps of the workshop'
    with pytest.raises(FileNotFoundError, match=r'region file of .*; expected the maps of the wor'):
        load(dict(sample))
    load.source = None
    # a note that makes no sense changes nothing
    (tmp_path / 'out').mkdir()
    for note in ('null', '5', '{"options": null}', '{', '{"options": {}, "suffix": null}',
                 '{"options": {}, "suffix": ".png", "method": null}'):
        (tmp_path / 'out/regions.json').write_text(note)
        with pytest.raises(FileNotFoundError, match='make the regions with: .* --method fh$'):
            load(dict(sample))
    (tmp_path / 'out/regions.json').unlink()
    # a folder that others were made in already says how
    make_folder(images, [], out, 'grid', dict(cells=[2, 3]), '.npz')
    with pytest.raises(FileNotFoundError) as error:
        load(dict(sample))
    command = shlex.split(str(error.value).partition('with: ')[2])
    sys.path.insert(0, str(repo / 'tools'))
    import make_regions as tool
    sys.path.pop(0)
    monkeypatch.setattr(sys, 'argv', command[1:])
    tool.main()
    assert load(dict(sample))['regions'].max() == 6


def test_files_that_do_not_fit(sample, tmp_path):
    images, out = str(tmp_path / 'images'), str(tmp_path / 'out')
    write_regions(f'{out}/a/b.png', np.ones((60, 79), int))
    with pytest.raises(RegionFileError, match=r'out/a/b\.png: a region map of 79x60 .* 80x60'):
        LoadRegions(images, out)(dict(sample))
    write_regions(f'{out}/a/b.png', grid_regions(sample['img'], 20))
    assert LoadRegions(images, out)(dict(sample))['regions'].max() == 400
    with pytest.raises(RegionFileError, match=r'400 regions; expected at most 255 \(max_regions\)'):
        LoadRegions(images, out, max_regions=255)(dict(sample))


def test_labels_become_regions(sample):
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:], labels[:5] = 3, 255
    results = RegionsFromAnnotations()(dict(sample, gt_seg_map=labels))
    assert np.unique(results['regions']).tolist() == [0, 1, 4]
    assert np.array_equal(results['regions'] == 0, labels == 255)
    background = RegionsFromAnnotations(background=0)(dict(sample, gt_seg_map=labels))
    assert np.unique(background['regions']).tolist() == [0, 4]
    instances = RegionsFromAnnotations('instance', 'gt_instances')(
        dict(sample, gt_instances=labels))
    assert np.array_equal(instances['regions'], (labels == 3).astype(int))


def test_instances_keep_all_bits_of_their_file(sample, tmp_path):
    """Ids 256, 26001 and 26257 are three objects; mmseg's LoadAnnotations would make them two."""
    ids = np.zeros((60, 80), np.uint16)
    ids[:20], ids[20:40], ids[40:, :40], ids[40:, 40:60] = 256, 26001, 26257, 255
    cv2.imwrite(str(tmp_path / 'ids.png'), ids)
    sample = dict(sample, seg_map_path=str(tmp_path / 'ids.png'), gt_seg_map=ids.astype(np.uint8))
    found = RegionsFromAnnotations('instance')(dict(sample))['regions']
    wanted = np.zeros((60, 80), int)
    wanted[:20], wanted[20:40], wanted[40:, :40] = 1, 2, 3
    assert np.array_equal(found, wanted)
    every = RegionsFromAnnotations('instance', ignore_index=None)(dict(sample))['regions']
    assert every.max() == 4 and (every == 0).sum() == 20 * 20
    with pytest.raises(ValueError, match='is mirrored already.*put it directly after LoadImage'):
        RegionsFromAnnotations('instance')(dict(sample, flip=True))
    (tmp_path / 'ids.png').write_bytes(b'no image')
    with pytest.raises(RegionFileError, match=r'ids\.png: damaged'):
        RegionsFromAnnotations('instance')(dict(sample))
    with pytest.raises(ValueError, match=r"a/b\.png has no 'seg_map_path'"):
        RegionsFromAnnotations('instance')({'img': sample['img'], 'img_path': sample['img_path']})


BYOL = [dict(type='mmdense.RandomResizedCrop', size=(40, 56), area=(0.3, 1.0)),
        dict(type='mmdense.RandomFlip', prob=0.5)]
COLOURS = [
    dict(type='mmdense.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1,
         prob=1.0),
    dict(type='mmdense.RandomGrayscale', prob=1.0),
    dict(type='mmdense.GaussianBlur', sigma=(0.1, 2.0), prob=1.0),
    dict(type='mmdense.Solarize', threshold=128, prob=1.0)]


@pytest.mark.parametrize('seed', range(4))
def test_colours_change_the_image_and_never_its_regions(seed):
    """Each pixel of a view, whatever became of its colour, has the id of where it came from."""
    height, width = 90, 120
    y, x = np.mgrid[:height, :width]
    image = np.stack([y, x, (y + x) // 2], 2).astype(np.uint8)
    sample = dict(img=image, img_path='a.png', ori_shape=(height, width), regions=y * width + x + 1)
    made = {}
    for name, colours in (('plain', []), ('coloured', COLOURS)):
        np.random.seed(seed)
        views = dict(type='mmdense.MultiView', views=[[*BYOL, *colours]])
        made[name] = TRANSFORMS.build(views)(dict(sample))['views'][0]
    coloured = made['coloured']
    assert np.array_equal(coloured['box'], made['plain']['box'])
    assert (coloured['img'] != made['plain']['img']).mean() > 0.5
    left, top, right, bottom = coloured['box']
    rows = top + (np.arange(40) + 0.5) * (bottom - top) / 40
    columns = left + (np.arange(56) + 0.5) * (right - left) / 56
    if coloured['flip']:
        columns = columns[::-1]
    found_y, found_x = np.divmod(coloured['regions'] - 1, width)
    assert np.abs(found_y + 0.5 - rows[:, None]).max() <= 0.5 + 1e-3
    assert np.abs(found_x + 0.5 - columns).max() <= 0.5 + 1e-3


@pytest.mark.parametrize('build, message', [
    (lambda: MakeRegions(dict(method='mcg')), "'mcg'; expected one of fh"),
    (lambda: MakeRegions(dict(scale=3)), r"expected dict\(method='fh'"),
    (lambda: MakeRegions([]), 'sources='), (lambda: LoadRegions('images'), 'expected both'),
    (lambda: LoadRegions('a', 'b', source=5), 'source=5; expected dict'),
    (lambda: LoadRegions('a', ['b', 'c'], source=dict(method='fh')), 'of 2 folders; expected a te'),
    (lambda: RegionsFromAnnotations('panoptic'), "kind='panoptic'"),
    (lambda: RegionsFromAnnotations('instance', background=1), 'background=1')])
def test_wrong_settings_are_said_when_the_pipeline_is_built(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_samples_without_fitting_labels(sample):
    with pytest.raises(ValueError, match=r"a/b\.png has no 'gt_seg_map'; put LoadAnnotations"):
        RegionsFromAnnotations()(dict(sample))
    with pytest.raises(ValueError, match=r'labels\.png: a label map of shape \(60, 79\)'):
        RegionsFromAnnotations()(dict(sample, gt_seg_map=np.zeros((60, 79), int),
                                      seg_map_path='labels.png'))
