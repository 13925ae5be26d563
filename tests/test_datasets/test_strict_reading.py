"""Every image is read once, as strictly as libraries can: what that finds, and what it cannot."""
from __future__ import annotations

import os
import runpy

import pytest
from references.damaged import KINDS, encoded, flipped

from mmdense.datasets.decoder_messages import decoder_messages
from mmdense.datasets.strict_reading import check_image, check_images, image_loader, report
from mmdense.datasets.transforms.loading import LoadImage

#: of 20 files with one flipped bit each, how many are found
FOUND = {'JPEG': 1, 'progressive JPEG': 4, 'TIFF': 0, 'TIFF with LZW': 2, 'TIFF with deflate': 20,
         'WebP': 7, 'GIF': 4, 'PNG': 20}


@pytest.mark.parametrize('kind', [
    pytest.param('JPEG', id='jpeg', marks=pytest.mark.situation(
        'numbers', 'a JPEG with one flipped bit (20 files)', 'silent', 'check.py --files finds 1: '
        'the format has no checksum, and other pixels are decoded by its rules')),
    pytest.param('progressive JPEG', id='progressive', marks=pytest.mark.situation(
        'numbers', 'a progressive JPEG with one flipped bit (20 files)', 'silent',
        'check.py --files finds 4, which are also counted in training')),
    pytest.param('TIFF', id='tiff', marks=pytest.mark.situation(
        'numbers', 'a TIFF without compression, with one flipped bit (20 files)', 'silent',
        'check.py --files finds none: one pixel is another')),
    pytest.param('TIFF with LZW', id='lzw', marks=pytest.mark.situation(
        'numbers', 'a TIFF with LZW, with one flipped bit (20 files)', 'silent', 'check.py --files '
        'finds 2, which are also counted in training: no checksum')),
    pytest.param('TIFF with deflate', id='deflate', marks=pytest.mark.situation(
        'numbers', 'a TIFF with deflate, with one flipped bit (20 files)', 'warning',
        'check.py --files lists all, training counts them')),
    pytest.param('WebP', id='webp', marks=pytest.mark.situation(
        'numbers', 'a WebP with one flipped bit (20 files)', 'silent', '7 are refused, the others '
        'decode to other pixels: the format has no checksum')),
    pytest.param('GIF', id='gif', marks=pytest.mark.situation(
        'numbers', 'a GIF with one flipped bit (20 files)', 'silent', 'check.py --files finds 4: '
        'the format has no checksum')),
    pytest.param('PNG', id='png', marks=pytest.mark.situation(
        'numbers', 'a PNG with one flipped bit (20 files)', 'error', 'each is refused by name'))])
def test_what_is_found_of_twenty_damaged_files(tmp_path, kind):
    content, loader = encoded(kind), LoadImage()
    path = tmp_path / f'a{KINDS[kind][0]}'
    path.write_bytes(content)
    assert check_image(str(path), loader).problem is None
    found = 0
    for damaged in flipped(content):
        path.write_bytes(damaged)
        found += check_image(str(path), loader).problem is not None
    assert found >= FOUND[kind]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Whole files of every kind, and a damaged TIFF and a cut PNG, which come to 2 of 10."""
    folder = tmp_path_factory.mktemp('images')
    for number, (kind, (suffix, *_)) in enumerate(KINDS.items()):
        (folder / f'{number}{suffix}').write_bytes(encoded(kind))
    deflate = list(flipped(encoded('TIFF with deflate')))[10]
    (folder / 'bad.tif').write_bytes(deflate)
    (folder / 'cut.png').write_bytes(encoded('PNG')[:-40])
    return folder


def dataset(folder) -> dict:
    return dict(type='mmdense.UnlabelledDataset', data_root=str(folder),
                pipeline=[dict(type='mmdense.LoadImage')])


@pytest.mark.parametrize('workers', [1, 2])
def test_every_image_of_a_dataset_is_read_once(folder, workers, capfd):
    seen = []
    found = check_images(dict(type='RepeatDataset', times=2, dataset=dataset(folder)), workers,
                         lambda checked, count: seen.append((checked.path, count)))
    assert len(seen) == len(set(seen)) == len(found) == 10 and seen[0][1] == 10
    assert [one.path for one in found if one.problem] == [f'{folder}/bad.tif', f'{folder}/cut.png']
    lines = report(found).splitlines()
    assert lines[0].startswith(f'{folder}/bad.tif: ') and 'ecoding error' in lines[0]
    assert lines[2] == '2 of 10 images are damaged'
    assert lines[3].startswith('8 are of kinds without checksums')
    assert capfd.readouterr().err == ''         # the decoders' own words are in the list


@pytest.mark.situation('numbers', 'check.py --files of a folder with damaged images', 'error',
                       'each damaged file with what is wrong, and exit code 1')
def test_the_tool_lists_them_and_fails(folder, tmp_path, monkeypatch, capsys, repo):
    config = tmp_path / 'config.py'
    config.write_text('model = dict(type="ResNet")\n'
                      f'train_dataloader = dict(dataset={dataset(folder)!r})')
    monkeypatch.setattr('sys.argv', ['check.py', str(config), '--files', '--workers', '1'])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(repo / 'tools/check.py'), run_name='__main__')
    assert ended.value.code == 1 and f'{folder}/cut.png: ' in capsys.readouterr().out
    (tmp_path / 'good').mkdir()
    (tmp_path / 'good/a.png').write_bytes(encoded('PNG'))
    config.write_text('model = dict(type="ResNet")\n'
                      f'train_dataloader = dict(dataset={dataset(tmp_path / "good")!r})')
    runpy.run_path(str(repo / 'tools/check.py'), run_name='__main__')
    assert capsys.readouterr().out.endswith('0 of 1 images are damaged\n')


def test_a_dataset_that_reads_no_images_is_told(folder):
    with pytest.raises(ValueError, match='no pipeline of .* reads an image; expected mmdense.Load'):
        image_loader(dict(type='UnlabelledDataset', pipeline=[dict(type='Resize')]))
    assert isinstance(image_loader(dict(datasets=[dataset(folder)])), LoadImage)


def test_only_words_of_damage_are_kept(capfd):
    with decoder_messages() as said:
        os.write(2, b'Corrupt JPEG data: 5 extraneous bytes before marker 0xd9\n'
                    b'libpng warning: iCCP: known incorrect sRGB profile\n')
    assert said == ['Corrupt JPEG data: 5 extraneous bytes before marker 0xd9']
    assert capfd.readouterr().err == 'libpng warning: iCCP: known incorrect sRGB profile\n'
    with pytest.raises(KeyError), decoder_messages() as said:
        raise KeyError
    os.write(2, b'Corrupt JPEG data: outside\n')
    assert capfd.readouterr().err == 'Corrupt JPEG data: outside\n' and said == []
