"""Motion masks: against rendered clips, the order of frames, a folder of them, and of videos."""
from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from references.commands import tool

from mmdense.datasets.generate.clips import render_clip, write_clips
from mmdense.regions import read_regions
from mmdense.regions.motion import mask_of_frame, motion_mask, order_frames, other_frame


def test_rendered_clips_know_what_moves():
    """Against the camera's motion; measured over ten clips, on the pixels that are known."""
    both = either = unknown = 0
    for seed in range(10):
        frames, moving = render_clip(np.random.RandomState([1, seed]), frames=2)
        mask = motion_mask(*frames)
        known, said = mask > 0, mask == 2
        both += (said & moving[0] & known).sum()
        either += ((said | moving[0]) & known).sum()
        unknown += (~known).mean() / 10
    assert both / either > 0.65 and unknown < 0.1


def test_a_camera_alone_moves_nothing_and_a_flat_frame_is_not_known():
    frames, _ = render_clip(np.random.RandomState(3), frames=2)
    moved = np.roll(frames[0], (2, 3), (0, 1))[8:-8, 8:-8]
    mask = motion_mask(frames[0][8:-8, 8:-8], moved)
    assert (mask == 2).mean() < 0.02 and (mask == 1).mean() > 0.9
    with pytest.raises(ValueError, match=r'frames of \(128, 128\) and \(112, 112\) pixels'):
        motion_mask(frames[0], moved)


def test_frames_are_ordered_by_their_numbers():
    assert order_frames(['f10.png', 'f9.png', 'f1.png'], 'a') == ['f1.png', 'f9.png', 'f10.png']


@pytest.mark.situation('images', 'frames of a clip whose order is not known', 'error',
                       'names the folder and the frames')
@pytest.mark.parametrize(('names', 'told'), [
    (['a.png', 'b.png'], 'a.png: no number in its name'),
    (['a_01.png', 'b_1.png'], 'a_01.png and b_1.png both have the number 1'),
    (['a_01.png'], r'has 1 frame\(s\); motion needs at least 2')])
def test_an_order_that_is_not_known_is_told(names, told):
    with pytest.raises(ValueError, match=told):
        order_frames(names, 'clip')


@pytest.fixture
def clips(tmp_path):
    write_clips(tmp_path, 2, frames=3, size=64)
    return tmp_path


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, 'argv', ['make_motion_masks.py', *map(str, options)])
    tool('make_motion_masks').main()


def test_a_folder_of_clips_is_done_once(clips, monkeypatch, capsys):
    """A mask for each frame, the last one's with the frame before; and what is there stays."""
    run(monkeypatch, clips / 'frames', clips / 'motion', '--workers', 2)
    assert '6 frames have masks, 6 of them new' in capsys.readouterr().out
    last = clips / 'frames/clip_001/frame_002.png'
    assert other_frame(str(last), 1) == str(last.with_name('frame_001.png'))
    assert np.array_equal(read_regions(clips / 'motion/clip_001/frame_002.png'),
                          mask_of_frame(str(last)))
    assert (clips / 'motion/contact_sheet.jpg').is_file()
    run(monkeypatch, clips / 'frames', clips / 'motion')
    assert '6 frames have masks, 0 of them new' in capsys.readouterr().out
    with pytest.raises(ValueError, match='holds regions made with other settings'):
        run(monkeypatch, clips / 'frames', clips / 'motion', '--options', 'step=2')
    with pytest.raises(ValueError, match='has 3 frames, and frames are compared 3 apart'):
        other_frame(str(last), 3)
    with pytest.raises(SystemExit):
        run(monkeypatch, clips / 'frames', clips / 'motion', '--options', 'steps=2')


def write_video(path, count):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 64))
    for image in render_clip(np.random.RandomState(0), frames=count, size=64)[0]:
        writer.write(image)
    writer.release()


def test_videos_are_taken_apart_first(tmp_path, monkeypatch, capsys):
    (tmp_path / 'videos').mkdir()
    write_video(tmp_path / 'videos/a.avi', 4)
    frames = tmp_path / 'frames'
    with pytest.raises(ValueError, match='has videos: say where their frames go, --frames'):
        run(monkeypatch, tmp_path / 'videos', tmp_path / 'out')
    run(monkeypatch, tmp_path / 'videos', tmp_path / 'out', '--frames', frames, '--every', 2)
    assert sorted(path.name for path in (frames / 'a').iterdir()) == ['000000.png', '000002.png']
    assert '2 frames have masks' in capsys.readouterr().out


@pytest.mark.situation('images', 'a video that cannot be read, or of one frame', 'error',
                       'names the file and what was expected')
@pytest.mark.parametrize(('count', 'told'), [
    (0, 'OpenCV reads no frame of it'), (1, r'gives 1 frame\(s\) of 1; motion needs at least 2')])
def test_a_video_that_is_none_is_told(tmp_path, monkeypatch, count, told):
    path = tmp_path / 'a.avi'
    if count:
        write_video(path, count)
    else:
        path.write_bytes(b'no video')
    with pytest.raises(ValueError, match=told):
        run(monkeypatch, path, tmp_path / 'out', '--frames', tmp_path / 'frames')
