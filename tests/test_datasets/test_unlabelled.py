"""Unlabelled images from folders, lists and other datasets; unreadable ones."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmdense.datasets import UnlabelledDataset
from mmdense.datasets.samplers import SampleIndex
from mmdense.datasets.transforms import ImageReadError
from mmdense.registry import DATASETS

PIPELINE = [dict(type='mmdense.LoadImage')]
SEEDED = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage')]


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 20, 3), value, np.uint8)).save(path)
    return str(path)


def paths_of(dataset) -> list[str]:
    return [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]


@pytest.fixture
def folder(tmp_path):
    """Twelve images 00.png..11.png whose grey value is their number."""
    for index in range(12):
        put(tmp_path / f'images/{index:02d}.png', index)
    return tmp_path / 'images'


def test_folder_recursive_and_sorted(tmp_path):
    wanted = [put(tmp_path / name) for name in ('a/1.png', 'a/b/2.JPG', 'c.tiff')]
    put(tmp_path / '.cache/3.png'), put(tmp_path / 'a/.4.png')
    (tmp_path / 'notes.txt').touch()
    dataset = DATASETS.build(dict(type='UnlabelledDataset', data_root=str(tmp_path)))
    assert paths_of(dataset) == wanted
    assert [dataset[index]['sample_idx'] for index in range(3)] == [0, 1, 2]
    flat = UnlabelledDataset(data_root=str(tmp_path), recursive=False)
    assert paths_of(flat) == wanted[2:]
    below = UnlabelledDataset(data_root=str(tmp_path), data_prefix=dict(img_path='a'))
    assert paths_of(below) == wanted[:2]
    assert paths_of(UnlabelledDataset(data_prefix=dict(img_path=str(tmp_path)))) == wanted


def test_linked_folders_end(tmp_path):
    wanted = put(tmp_path / 'real/1.png')
    (tmp_path / 'set').mkdir()
    (tmp_path / 'set/link').symlink_to(tmp_path / 'real')
    (tmp_path / 'real/back').symlink_to(tmp_path / 'set')
    found = paths_of(UnlabelledDataset(data_root=str(tmp_path / 'set')))
    assert found == [wanted.replace('/real/', '/set/link/')]


def test_list_file(tmp_path):
    wanted = [put(tmp_path / 'images' / name) for name in ('b c.png', 'a.png')]
    (tmp_path / 'list.txt').write_text(f'b c.png\n{wanted[1]}\n\n')
    dataset = UnlabelledDataset(data_root=str(tmp_path), data_prefix=dict(img_path='images'),
                                ann_file='list.txt')
    assert paths_of(dataset) == wanted


def test_samples_are_held_in_arrays(folder):
    dataset = UnlabelledDataset(data_root=str(folder))
    assert dataset.data_list == [] and isinstance(dataset.data_bytes, np.ndarray)


def voc(root, split):
    return dict(type='PascalVOCDataset', data_root=str(root), pipeline=[dict(type='Nothing')],
                data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
                ann_file=f'ImageSets/Segmentation/{split}.txt')


def test_voc_trainaug_without_masks(tmp_path):
    wanted = [put(tmp_path / f'JPEGImages/{name}.jpg') for name in 'cab']
    lists = tmp_path / 'ImageSets/Segmentation'
    lists.mkdir(parents=True)
    (lists / 'train.txt').write_text('c\na\n')
    (lists / 'aug.txt').write_text('a\nb\n')
    both = dict(type='ConcatDataset', datasets=[voc(tmp_path, 'train'), voc(tmp_path, 'aug')])
    dataset = UnlabelledDataset(dataset=both, pipeline=PIPELINE)
    assert paths_of(dataset) == wanted              # each image once
    twice = dict(type='RepeatDataset', times=2, dataset=both)
    assert paths_of(UnlabelledDataset(dataset=twice)) == wanted
    assert sorted(dataset[1]) == ['img', 'img_path', 'img_shape', 'ori_shape', 'sample_idx']
    (tmp_path / 'JPEGImages/a.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'1 of 2 images are not there: .*/a\.jpg'):
        UnlabelledDataset(dataset=both)


@pytest.mark.parametrize(('kind', 'image', 'prefix'), [
    ('CityscapesDataset', 'leftImg8bit/train/ulm/ulm_0_leftImg8bit.png', 'leftImg8bit/train'),
    ('ADE20KDataset', 'images/training/ADE_1.jpg', 'images/training'),
    ('mmseg.COCOStuffDataset', 'images/train2017/1.jpg', 'images/train2017'),
])
def test_stock_datasets(tmp_path, kind, image, prefix):
    wanted = put(tmp_path / image)
    cfg = dict(type=kind, data_root=str(tmp_path), pipeline=[dict(type='LoadAnnotations')],
               data_prefix=dict(img_path=prefix, seg_map_path='masks/none'))
    assert paths_of(UnlabelledDataset(dataset=cfg)) == [wanted]
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/gone/{prefix}'):
        UnlabelledDataset(dataset=dict(cfg, data_root=str(tmp_path / 'gone')))


def test_nothing_to_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/gone, which is no folder'):
        UnlabelledDataset(data_root='gone')
    with pytest.raises(FileNotFoundError, match=rf'no image in {tmp_path} .*expected .*\*\.jpg'):
        UnlabelledDataset(data_root='.')
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/list\.txt, which is not there'):
        UnlabelledDataset(ann_file='list.txt')
    (tmp_path / 'list.txt').write_text('')
    with pytest.raises(ValueError, match=r'list\.txt: the list is empty'):
        UnlabelledDataset(ann_file='list.txt')
    put(tmp_path / 'a.png')
    (tmp_path / 'list.txt').write_text('a.png\nb.png\nc.png\n')
    with pytest.raises(FileNotFoundError, match=rf'2 of 3 .*: {tmp_path}/b\.png, .*/c\.png'):
        UnlabelledDataset(ann_file='list.txt')
    with pytest.raises(FileNotFoundError, match='voc_aug.py'):
        UnlabelledDataset(dataset=voc(tmp_path / 'VOCdevkit/VOC2012', 'trainaug'))


def test_wrong_arguments(folder):
    with pytest.raises(ValueError, match="on_error='ignore'; expected 'raise' or 'skip'"):
        UnlabelledDataset(data_root=str(folder), on_error='ignore')
    with pytest.raises(ValueError, match='either a folder .* or a dataset; got none'):
        UnlabelledDataset()
    with pytest.raises(ValueError, match='got both'):
        UnlabelledDataset(data_root=str(folder), dataset=voc(folder, 'train'))


def spoil(folder, *numbers):
    for number in numbers:
        (folder / f'{number:02d}.png').write_bytes(b'')


def test_raise_is_the_default(folder):
    spoil(folder, 3)
    dataset = UnlabelledDataset(data_root=str(folder), pipeline=PIPELINE)
    assert dataset[2]['img'].max() == 2
    with pytest.raises(ImageReadError, match=r'03\.png: is empty'):
        dataset[3]


def test_skip_takes_the_same_image_on_every_run(folder):
    spoil(folder, 3, 4, 5, 6, 7)
    runs = []
    for state in range(2):
        dataset = UnlabelledDataset(data_root=str(folder), pipeline=SEEDED, on_error='skip')
        torch.manual_seed(state), np.random.seed(state)
        runs.append([int(dataset[SampleIndex(3, 7, position)]['img'].max())
                     for position in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) <= {0, 1, 2, 8, 9, 10, 11} and len(set(runs[0])) > 3


def test_marks_of_all_workers_add_up(folder):
    spoil(folder, 1, 4, 8)
    dataset = UnlabelledDataset(data_root=str(folder), pipeline=PIPELINE, on_error='skip')
    loader = DataLoader(dataset, batch_size=3, num_workers=2, collate_fn=pseudo_collate)
    values = [int(image.max()) for batch in loader for image in batch['img']]
    assert len(values) == 12
    assert values[::3] == [0, 3, 6, 9]         # the readable stay in place
    assert [path[-6:] for path in dataset.unreadable_paths()] == ['01.png', '04.png', '08.png']


def test_too_many_errors(folder):
    spoil(folder, 0, 1, 2, 3)
    dataset = UnlabelledDataset(data_root=str(folder), pipeline=SEEDED, on_error='skip',
                                max_errors=2)
    for _ in range(3):
        dataset[0]                                      # the same file again counts once
    assert dataset.unreadable.sum() <= 2
    with pytest.raises(ImageReadError, match=r'3 of 12 images cannot be read, expected at most '
                                             r'2 \(max_errors=2\): .*00\.png') as caught:
        for index in range(4):
            dataset[index]
    assert caught.value.__suppress_context__


def test_all_files_bad_ends(folder):
    spoil(folder, *range(12))
    dataset = UnlabelledDataset(data_root=str(folder), pipeline=PIPELINE, on_error='skip',
                                max_errors=1000)
    with pytest.raises(ImageReadError, match='12 of 12 images cannot be read'):
        dataset[0]


def test_default_limit():
    limits = {}
    for count in (12, 5000):
        dataset = UnlabelledDataset(data_root='unused', lazy_init=True)
        dataset.load_data_list = lambda count=count: [dict(img_path='x')] * count
        dataset.full_init()
        limits[count] = dataset.max_errors
    assert limits == {12: 10, 5000: 50}
