"""Unlabelled images from folders, lists and other datasets; unreadable ones."""
from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset, pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from mmdense.datasets import UnlabelledDataset
from mmdense.datasets.dataset_paths import check_dataset_paths
from mmdense.datasets.samplers import SampleIndex
from mmdense.images.reading import ImageReadError
from mmdense.models.queue import FeatureQueue
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


@pytest.mark.situation('security', 'a named pipe in place of a list of images', 'error',
                       'no list is there; nobody waits for a writer')
def test_a_pipe_is_no_list(tmp_path):
    os.mkfifo(tmp_path / 'list.txt')
    with pytest.raises(FileNotFoundError, match=r'list\.txt'):
        UnlabelledDataset(data_root=str(tmp_path), ann_file='list.txt', pipeline=PIPELINE)


def test_list_file(tmp_path):
    wanted = [put(tmp_path / 'images' / name) for name in ('b c.png', 'a.png')]
    (tmp_path / 'list.txt').write_text(f'b c.png\n{wanted[1]}\n\n')
    dataset = UnlabelledDataset(data_root=str(tmp_path), data_prefix=dict(img_path='images'),
                                ann_file='list.txt')
    assert paths_of(dataset) == wanted


@pytest.mark.parametrize('pickled', [False, True])
def test_subsets_are_as_mmengine_makes_them(folder, pickled):
    def made(**settings):
        return UnlabelledDataset(data_root=str(folder), serialize_data=pickled, **settings)
    everything = paths_of(made())
    assert len(everything) == 12
    for indices, wanted in ((5, everything[:5]), (-3, everything[-3:]), (0, []),
                            ([7, 0, -1], [everything[7], everything[0], everything[-1]])):
        if indices or not pickled:      # mmengine cannot pickle nothing
            assert paths_of(made(indices=indices)) == wanted
        dataset = made()
        subset = dataset.get_subset(indices)
        assert paths_of(subset) == wanted and len(dataset) == 12
        dataset.get_subset_(indices)
        assert paths_of(dataset) == wanted
    assert made().get_data_info(-1) == dict(img_path=everything[-1], sample_idx=11)
    with pytest.raises(IndexError):
        made().get_data_info(12)


def test_a_subclass_may_filter_samples(folder):
    class Even(UnlabelledDataset):
        def filter_data(self):
            return [sample for sample in self.data_list if int(sample['img_path'][-6:-4]) % 2 == 0]
    dataset = Even(data_root=str(folder), indices=[1, 2])
    assert [path[-6:] for path in paths_of(dataset)] == ['02.png', '04.png']


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
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/gone, which is not there'):
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


@pytest.mark.parametrize('wrap', [
    pytest.param(lambda both: both, id='concat', marks=pytest.mark.situation(
        'images', 'VOC and ADE20K together in one `ConcatDataset` under `UnlabelledDataset`',
        'works', 'each part is listed by itself; classes do not matter')),
    lambda both: dict(type='RepeatDataset', times=3, dataset=both),
    lambda both: dict(type='ConcatDataset', datasets=[
        dict(both, datasets=both['datasets'][:1]),
        dict(type='RepeatDataset', times=2, dataset=both)])])
def test_joined_datasets_of_different_classes(tmp_path, wrap):
    wanted = [put(tmp_path / 'JPEGImages/v.jpg'), put(tmp_path / 'images/training/ADE_1.jpg')]
    (tmp_path / 'ImageSets/Segmentation').mkdir(parents=True)
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('v\n')
    ade = dict(type='mmseg.ADE20KDataset', data_root=str(tmp_path), pipeline=[],
               data_prefix=dict(img_path='images/training', seg_map_path='gone'))
    both = dict(type='ConcatDataset', datasets=[voc(tmp_path, 'train'), ade])
    assert paths_of(UnlabelledDataset(dataset=wrap(both))) == wanted


@pytest.mark.parametrize('kind', ['zip', 'tar', 'gztar'])
@pytest.mark.situation('images', 'a zip or tar file as `data_root`', 'error',
                       'says that it is an archive and to unpack it')
def test_an_archive_is_to_be_unpacked(folder, tmp_path, kind):
    path = shutil.make_archive(str(tmp_path / 'set'), kind, folder)
    mine = dict(type='mmdense.UnlabelledDataset', data_root=path)
    stock = dict(voc(path, 'train'), type='mmseg.PascalVOCDataset')
    for build in (lambda: UnlabelledDataset(data_root=path),
                  lambda: UnlabelledDataset(data_root=path, data_prefix=dict(img_path='images')),
                  lambda: check_dataset_paths(mine, 'train_dataloader'),
                  lambda: check_dataset_paths(stock, 'train_dataloader')):
        with pytest.raises(FileNotFoundError, match=rf'{path}.* is an archive: unpack it'):
            build()
    with pytest.raises(FileNotFoundError, match=r'00\.png, which is a file, no folder'):
        UnlabelledDataset(data_root=str(folder / '00.png'))


@pytest.mark.situation('images', 'a folder of other files than images', 'error',
                       'names the suffixes that are there')
def test_what_is_there_instead_of_images_is_named(tmp_path):
    for name in ('a.nii', 'b.nii', 'c.dcm'):
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=r'there are 2 \*\.nii, 1 \*\.dcm'):
        UnlabelledDataset(data_root=str(tmp_path))


@pytest.mark.situation('images', 'a link whose file is gone', 'error',
                       'names the link and where it leads')
def test_broken_links(tmp_path):
    put(tmp_path / 'a.png')
    (tmp_path / 'b.png').symlink_to(tmp_path / 'moved.png')
    dataset = UnlabelledDataset(data_root=str(tmp_path), pipeline=PIPELINE)
    with pytest.raises(ImageReadError, match=r'b\.png: is a link to .*moved\.png, which is not'):
        dataset[1]


@pytest.mark.situation('images', 'file names with spaces and letters of any alphabet', 'works',
                       'in a folder, too')
def test_any_file_name(tmp_path):
    for number, name in enumerate(('a b.png', 'größe.PNG', "it's [1].png", '写真.png')):
        put(tmp_path / 'my bilder ü' / name.lower(), number)
    dataset = UnlabelledDataset(data_root=str(tmp_path), pipeline=PIPELINE)
    assert sorted(int(dataset[number]['img'].max()) for number in range(4)) == [0, 1, 2, 3]


VIEWS = [dict(type='mmdense.SeedSample'), dict(type='mmdense.LoadImage'),
         dict(type='mmdense.MultiView', views=[[dict(type='mmdense.RandomResizedCrop', size=8)]]),
         dict(type='mmdense.PackViews')]


def indices_of(dataset) -> list[int]:
    return [dataset[SampleIndex(number, 0, number)]['data_samples'].index
            for number in range(len(dataset))]


@pytest.mark.situation('images', "an image's index under ConcatDataset, RepeatDataset and both in "
                       'each other', 'works', "it is the file's own: no two images share one, and "
                       'a repeated image keeps its one')
def test_an_image_has_one_index_whatever_is_around_its_dataset(folder, tmp_path):
    for number in range(3):
        put(tmp_path / f'other/{number}.png', number)
    first = UnlabelledDataset(data_root=str(folder), pipeline=VIEWS)
    second = UnlabelledDataset(data_root=str(tmp_path / 'other'), pipeline=VIEWS)
    own, others = indices_of(first), indices_of(second)
    assert len(set(own + others)) == 15 and min(own + others) >= 0
    assert indices_of(RepeatDataset(second, 2)) == others * 2
    share = ConcatDataset([second, first.get_subset([3, 5])])
    assert indices_of(share) == [*others, own[3], own[5]]
    parts = [dict(type='mmdense.UnlabelledDataset', data_root=str(root), pipeline=VIEWS)
             for root in (folder, tmp_path / 'other')]
    both = dict(type='ConcatDataset', datasets=parts)
    nested = [dict(type='RepeatDataset', times=2, dataset=both), parts[1]]
    assert indices_of(ConcatDataset([both])) == own + others
    second.get_cat_ids = lambda number: [min(number, 1)]        # class 0 is rare
    balanced = ClassBalancedDataset(second, oversample_thr=0.9)
    assert indices_of(balanced) == [others[number] for number in balanced.repeat_indices]
    assert len(balanced) > 3
    assert indices_of(ConcatDataset(nested)) == (       # also of a file that two parts hold
        (own + others) * 2 + others)


def test_the_queue_masks_the_own_image_alone(folder, tmp_path):
    """Two parts of a ConcatDataset whose images have the same place in their own part."""
    other = [put(tmp_path / f'other/{number}.png') for number in range(2)]
    joined = ConcatDataset([UnlabelledDataset(data_root=str(folder), pipeline=VIEWS),
                            UnlabelledDataset(data_root=str(tmp_path / 'other'), pipeline=VIEWS)])
    first, second = (torch.tensor([joined[place]['data_samples'].index]) for place in (0, 12))
    assert joined[12]['data_samples'].img_path == other[0]
    queue = FeatureQueue(4, dim=2, init='empty')
    queue.push(torch.eye(2)[:1], first)
    queue.push(torch.eye(2)[1:], second)
    assert (queue.index == first).sum() == 1 == (queue.index == second).sum()


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
