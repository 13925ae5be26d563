"""The reader by itself: what it reads, what it refuses, and how it says so."""
from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import os
import pickle
import pickletools
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from references.hostile import Payload, hostile
from safetensors.torch import save_file

from mmdense.checkpoints import read_checkpoint, reading
from mmdense.checkpoints.frozen_types import FrozenHistory
from mmdense.checkpoints.reading import read_file


def saved(path: Path, content: object, **kwargs) -> Path:
    torch.save(content, path, **kwargs)
    return path


@pytest.mark.parametrize('zipped', [True, False])
def test_numbers_come_back_as_torch_reads_them_unsafely(tmp_path, zipped):
    log = HistoryBuffer([1.5, 2.5], [1, 2], max_length=7)
    log.update(4.0)
    shared = np.arange(3)
    content = dict(
        log=log, empty=HistoryBuffer(), scalar=np.float32(3.5), flag=np.bool_(True),
        text=np.str_('hi'), big=np.arange(6, dtype='>i4').reshape(2, 3),
        fortran=np.asfortranarray(np.arange(6.).reshape(2, 3)), pair=(shared, [shared]),
        args=argparse.Namespace(lr=0.1, scale=np.ones(2)), cut=slice(1, 3), tensor=torch.ones(2))
    path = saved(tmp_path / 'a.pth', content, _use_new_zipfile_serialization=zipped)
    ours, oracle = read_checkpoint(path), torch.load(path, weights_only=False)
    for name in ('scalar', 'flag', 'text', 'cut'):
        assert ours[name] == oracle[name] and type(ours[name]) is type(oracle[name])
    for name in ('big', 'fortran'):
        assert type(ours[name]) is np.ndarray and ours[name].dtype == oracle[name].dtype
        np.testing.assert_array_equal(ours[name], oracle[name])
    np.testing.assert_array_equal(ours['pair'][0], shared)
    np.testing.assert_array_equal(ours['pair'][1][0], shared)
    np.testing.assert_array_equal(ours['args'].scale, np.ones(2))
    assert ours['args'].lr == 0.1
    for name in ('log', 'empty'):
        assert type(ours[name]) is HistoryBuffer
        assert ours[name].max_length == oracle[name].max_length
        for mine, theirs in zip(ours[name].data, oracle[name].data, strict=True):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
    assert ours['log'].statistics('mean', 2) == oracle['log'].statistics('mean', 2)
    ours['log'].update(1.0)  # and it goes on as a log


def test_the_allowance_ends_with_the_reading(tmp_path):
    read_checkpoint(saved(tmp_path / 'a.pth', dict(a=torch.ones(1))))
    assert FrozenHistory not in [g[0] for g in torch.serialization.get_safe_globals()
                                 if isinstance(g, tuple)]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(saved(tmp_path / 'b.pth', dict(a=HistoryBuffer())), weights_only=True)


def test_map_location(tmp_path):
    path = saved(tmp_path / 'a.pth', dict(a=torch.ones(1)))
    assert read_checkpoint(path, 'meta')['a'].device.type == 'meta'


def test_safetensors(tmp_path):
    save_file(dict(a=torch.arange(3.)), tmp_path / 'a.safetensors')
    torch.testing.assert_close(read_checkpoint(tmp_path / 'a.safetensors'),
                               dict(a=torch.arange(3.)))
    (tmp_path / 'b.safetensors').write_text('no')
    with pytest.raises(ValueError, match='b.safetensors is not a safetensors file'):
        read_checkpoint(tmp_path / 'b.safetensors')


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('place', ['top', 'meta', 'message_hub', 'history', 'state_dict'])
def test_hostile_pickle_is_named_and_not_run(tmp_path, place, zipped):
    trace = tmp_path / 'trace'
    path = saved(tmp_path / 'evil.pth', hostile(trace, place),
                 _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r'evil.pth refused: its pickle asks for '
                                         r'(posix|nt)\.mkdir.*nothing of it was exec') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value) and not trace.exists()
    torch.load(path, weights_only=False)  # the file does what it is said to do
    assert trace.exists()


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_hostile_plain_pickle(tmp_path, protocol):
    trace, path = tmp_path / 'trace', tmp_path / 'evil.pkl'
    path.write_bytes(pickle.dumps(dict(a=Payload(trace)), protocol))
    with pytest.raises(ValueError, match=r'(posix|nt)\.mkdir'):
        read_checkpoint(path)
    assert not trace.exists()


class Attribute:
    """Pickles as ``getattr(owner, name)``."""

    def __init__(self, owner: object, name: str) -> None:
        self.pair = owner, name

    def __reduce__(self) -> tuple:
        return getattr, self.pair


def test_getattr_opens_no_door(tmp_path):
    """A real getattr would give a file the globals of any function that it may name."""
    method = HistoryBuffer.mean
    path = saved(tmp_path / 'evil.pth', dict(a=Attribute(Attribute(method, '__globals__'), 'np')))
    with pytest.raises(ValueError, match='builtins.getattr'):
        read_checkpoint(path)
    for owner in (torch.Tensor, torch._utils._rebuild_tensor_v2):
        with pytest.raises(ValueError, match='builtins.getattr'):
            read_checkpoint(saved(path, dict(a=Attribute(owner, '__doc__'))))


def test_a_log_brings_no_methods(tmp_path):
    log = HistoryBuffer([1.0], [1])
    before = dict(HistoryBuffer._statistics_methods)
    log._statistics_methods = {**before, 'mean': torch.Size, 'more': torch.device}
    path = saved(tmp_path / 'a.pth', dict(log=log))
    read = read_checkpoint(path)['log']
    assert HistoryBuffer._statistics_methods == before
    assert read.statistics('mean') == 1.0 and vars(read).keys() == vars(HistoryBuffer()).keys()


def test_object_arrays_are_refused(tmp_path):
    path = saved(tmp_path / 'a.pth', dict(a=np.array(['a', None], dtype=object)))
    with pytest.raises(ValueError, match=r"asks for numpy.dtype\('object'\)"):
        read_checkpoint(path)


def test_nested_tuples_do_not_blow_up(tmp_path):
    value = (np.ones(1),)
    for _ in range(60):
        value = (value, value)
    read = read_checkpoint(saved(tmp_path / 'a.pth', dict(a=value)))['a']
    for _ in range(61):
        read = read[0]
    np.testing.assert_array_equal(read, 1)


def broken(path: Path, kind: str) -> Path:
    saved(path, dict(a=torch.arange(10000.)))
    content = path.read_bytes()
    if kind == 'old':
        saved(path, dict(a=torch.arange(10000.)), _use_new_zipfile_serialization=False)
        content = path.read_bytes()[:-500]
    path.write_bytes({'text': b'hello, this is a text file\n', 'empty': b'', 'old': content,
                      'cut': content[:len(content) // 2], 'tail': content[:-30],
                      'html': b'<!DOCTYPE html><html>404</html>', 'noise': bytes(range(256)) * 9,
                      'pickled text': pickle.dumps('os.system')}[kind])
    return path


@pytest.mark.parametrize('kind', ['text', 'empty', 'cut', 'tail', 'old', 'html', 'noise',
                                  'pickled text'])
def test_not_a_checkpoint(tmp_path, kind):
    path = broken(tmp_path / 'b.pth', kind)
    with pytest.raises(ValueError, match='b.pth is not a checkpoint') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value) and 'weights_only' not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture
def no_globals():
    before = torch.serialization.get_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.mark.parametrize('value', [
    pytest.param(Path('/a/b'), id='path', marks=pytest.mark.situation(
        'security', 'a checkpoint that holds a path, a date, a ConfigDict or a numpy type beside '
        'its weights', 'error', 'refused; the line says which two lines of code allow it')),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), ConfigDict(a=dict(b=[1])),
    np.float64, decimal.Decimal('1.5')])
def test_plain_values_are_refused_and_it_is_said_how_to_allow_them(tmp_path, value, no_globals):
    path = saved(tmp_path / 'a.pth', dict(a=torch.ones(1), value=value))
    with pytest.raises(ValueError, match='plain values: if you trust the file') as caught:
        read_checkpoint(path)
    said = str(caught.value)
    assert '\n' not in said
    # typed as the message says: a module, and a config that names it
    (tmp_path / 'allowed_here.py').write_text(said.partition('of the config: ')[2])
    with mock.patch.object(sys, 'path', [str(tmp_path), *sys.path]):
        sys.modules.pop('allowed_here', None)
        (tmp_path / 'config.py').write_text("custom_imports = dict(imports=['allowed_here'])")
        Config.fromfile(tmp_path / 'config.py')
    assert read_checkpoint(path)['value'] == value


@pytest.mark.parametrize('value', [
    pytest.param(eval, id='eval', marks=pytest.mark.situation(
        'security', 'a checkpoint that names eval, os.system or subprocess beside harmless values',
        'error', 'refused, and nothing is said of allowing it')),
    os.system, subprocess.Popen, (Path('a'), os.system), [ConfigDict(a=1), eval],
    collections.deque([1])])
def test_nothing_else_is_told_how_to_be_allowed(tmp_path, value):
    with pytest.raises(ValueError, match='refused: its pickle asks for') as caught:
        read_checkpoint(saved(tmp_path / 'a.pth', dict(a=value)))
    assert 'add_safe_globals' not in str(caught.value)


def test_other_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / 'b.pth', 'w') as archive:
        archive.writestr('readme.txt', 'x')
    with pytest.raises(ValueError, match='b.pth is not a checkpoint'):
        read_checkpoint(tmp_path / 'b.pth')


def test_not_a_dict(tmp_path):
    with pytest.raises(ValueError, match='holds a Tensor, expected a dict'):
        read_checkpoint(saved(tmp_path / 'a.pth', torch.ones(2)))


def test_missing(tmp_path, monkeypatch):
    saved(tmp_path / 'iter_5.pth', {})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        read_checkpoint('iter_6.pth')
    assert str(caught.value) == (f'checkpoint iter_6.pth not found: looked for '
                                 f'{tmp_path}/iter_6.pth (that folder holds iter_5.pth)')
    with pytest.raises(FileNotFoundError, match='that folder does not exist'):
        read_checkpoint('nowhere/iter_6.pth')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(FileNotFoundError, match='is a folder, expected a file'):
        read_checkpoint('folder')


def test_mmengine_still_writes_what_the_stand_ins_are_for(tmp_path):
    path = saved(tmp_path / 'a.pth', dict(log=HistoryBuffer([1.0], [1]), n=np.float64(1)))
    content = zipfile.ZipFile(path).read('a/data.pkl')
    names = {argument for code, argument, _ in pickletools.genops(content)
             if code.name == 'GLOBAL'}
    assert '__builtin__ getattr' in names and 'numpy dtype' in names


@pytest.fixture(scope='module')
def content() -> dict:
    return dict(state_dict={'conv.weight': torch.randn(8, 3, 3, 3), 'bn.weight': torch.ones(8),
                            'bn.num_batches_tracked': torch.tensor(3)}, meta=dict(iter=1))


@pytest.mark.situation('numbers', 'a zip checkpoint with one flipped bit, at 15 and 2,000 places',
                       'error', 'it is refused by name, or the flip is where nothing is kept and '
                       'all tensors are the same')
@pytest.mark.parametrize('places', [15, pytest.param(2000, marks=pytest.mark.full)])
def test_flipped_bytes_are_never_other_weights(tmp_path, content, places):
    whole = saved(tmp_path / 'a.pth', content).read_bytes()
    refused = 0
    for number in range(places):
        damaged = bytearray(whole)
        damaged[int((number + 0.5) / places * len(whole))] ^= 1 << number % 8
        path = tmp_path / f'{number}.pth'
        path.write_bytes(damaged)
        try:
            read = read_checkpoint(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        assert read.keys() == content.keys() and read['meta'] == content['meta']
        for name, tensor in content['state_dict'].items():
            assert torch.equal(read['state_dict'][name], tensor)
    assert refused > places / 4


def test_the_damaged_part_is_named(tmp_path, content):
    path = saved(tmp_path / 'a.pth', content)
    with zipfile.ZipFile(path) as archive:
        at = archive.read('a/data/0')
    path.write_bytes(path.read_bytes().replace(at[:8], bytes(8), 1))
    with pytest.raises(ValueError, match="a.pth is damaged: the bytes of its part 'a/data/0' do"):
        read_checkpoint(path)
    with path.open('rb') as stream, pytest.raises(ValueError, match='the stream is damaged'):
        read_file(stream)


@pytest.mark.parametrize('kind', [
    pytest.param('legacy', id='legacy', marks=pytest.mark.situation(
        'numbers', "a checkpoint in torch's old format, which has no checksums", 'warning',
        'loads; the log says that its bytes could not be checked')),
    pytest.param('without', id='without', marks=pytest.mark.situation(
        'numbers', 'a zip checkpoint written without checksums', 'warning',
        'loads; the log says that its bytes could not be checked')),
    pytest.param('safetensors', id='safetensors', marks=pytest.mark.situation(
        'numbers', 'a safetensors file, a format without checksums', 'warning',
        'loads; the log says that its bytes could not be checked')),
    pytest.param('zip', id='zip')])
def test_files_without_checksums_load_and_say_so(tmp_path, monkeypatch, content, kind):
    said = []
    monkeypatch.setattr(reading, 'print_log', lambda text, *args: said.append(text))
    path = tmp_path / f'a.{"safetensors" if kind == "safetensors" else "pth"}'
    if kind == 'safetensors':
        save_file(content['state_dict'], path)
    else:
        torch.serialization.set_crc32_options(kind != 'without')
        try:
            saved(path, content, _use_new_zipfile_serialization=kind != 'legacy')
        finally:
            torch.serialization.set_crc32_options(True)
    for _ in range(2):
        read = read_checkpoint(path)
    read = read.get('state_dict', read)
    assert all(torch.equal(read[name], tensor) for name, tensor in content['state_dict'].items())
    assert said == ([] if kind == 'zip' else [
        f'{path} holds no checksums: whether its bytes are whole could not be checked'])


@pytest.mark.situation('numbers', 'a checkpoint with NaN or infinite weights, through any door',
                       'error', 'refused by name, with the tensors')
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16,
                                   torch.float8_e4m3fn])
def test_weights_that_are_not_finite_are_refused(tmp_path, content, dtype):
    weights = {name: x.to(dtype, copy=True) if x.is_floating_point() else x
               for name, x in content['state_dict'].items()}
    # the mask of a network may hold infinities, and what is no weight is not looked at
    weights['attn.causal_mask'] = torch.full((2, 2), -torch.inf)
    path = saved(tmp_path / 'a.pth', dict(state_dict=weights, lr=float('inf'),
                                          empty=dict(weight=torch.zeros(0))))
    read_checkpoint(path)
    weights['conv.weight'].view(-1)[5] = float('nan')
    with pytest.raises(ValueError, match=r"a.pth is of no use: 1 of 4 tensors \(conv.weight\) in "
                                         "'state_dict' hold nan or infinity"):
        read_checkpoint(saved(path, dict(state_dict=weights)))


@pytest.mark.situation('numbers', 'a checkpoint with whole numbers for weights, through any door',
                       'error', 'refused by name, with the tensors')
def test_whole_numbers_for_weights_are_refused(tmp_path, content):
    weights = {**content['state_dict'], 'conv.weight': torch.ones(8, 3, 3, 3, dtype=torch.int32)}
    with pytest.raises(ValueError, match=r'\(conv.weight\) are torch.int32, expected floats'):
        read_checkpoint(saved(tmp_path / 'a.pth', weights))
