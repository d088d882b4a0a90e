"""The spool: nothing accepted is lost, whatever happens to the process or the disk."""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
import subprocess
import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.frames import HEADER, MAGIC, SEGMENT_MARK, FrameDecoder, FrameEncoder, scan
from collector.spool import Damage, Spool
from plant.clock import ManualClock
from plant.errors import PermanentError, StoreError
from plant.samples import SampleBatch


def batch(start, count=3, point="a/t"):
    """Samples at consecutive seconds."""
    return SampleBatch.of([(point, float(start + i), 0.0, float(start + i), 0) for i in range(count)])


def open_spool(folder, max_bytes=10_000_000, **options):
    """A spool as after a start."""
    return Spool(folder, max_bytes, ManualClock(), **options)


def times(spool):
    """Drain it; the source times in the order in which they came out."""
    found = []
    while (spooled := spool.read()) is not None:
        found += spooled.batch.time_s.tolist()
        spool.commit(spooled.end)
    return found


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(allow_nan=False), st.floats(), st.integers(0, 2**20))))
def test_frames_round_trip(rows):
    """A batch comes out of its frame as it went in."""
    sent = SampleBatch.of([(p, t, t, v, c) for p, t, v, c in rows])
    got = FrameDecoder().decode(FrameEncoder().encode([sent])[HEADER.size :])
    assert got.points == sent.points
    for column in ("time_s", "received_s", "value", "code"):
        np.testing.assert_array_equal(getattr(got, column), getattr(sent, column))


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.floats()), min_size=1), min_size=1),
    st.booleans(),
)
def test_batches_of_several_links_share_a_frame(lots, wide):
    """Rows of many batches come out in order under their own names, each name once, also from tables hardly used."""
    spare = tuple(f"unused/{i}" for i in range(500)) if wide else ()
    batches = [SampleBatch.of([(p, float(t), 0.0, v, 0) for p, t, v in lot]) for lot in lots]
    batches = [
        SampleBatch(
            names=(*spare, *b.names), index=b.index + len(spare), time_s=b.time_s, received_s=b.received_s,
            value=b.value, code=b.code,
        )
        for b in batches
    ]  # fmt: skip
    got = FrameDecoder().decode(FrameEncoder().encode(batches)[HEADER.size :])
    assert got.points == tuple(p for b in batches for p in b.points)
    assert len(set(got.names)) == len(got.names)
    np.testing.assert_array_equal(got.value, np.concatenate([b.value for b in batches]))


SOUND = FrameEncoder().encode([SampleBatch.of([(f"p/{i % 3}", float(i), 0.0, 0.5, 0) for i in range(9)])])


def changed(place, byte):
    """The body of a sound frame with one byte of another value."""
    body = bytearray(SOUND[HEADER.size :])
    body[place % len(body)] = byte
    return bytes(body)


def uneven():
    """A well-formed body whose columns are not equally long."""
    outer = msgspec.msgpack.decode(SOUND[HEADER.size :])
    columns = msgspec.msgpack.decode(zlib.decompress(outer[1]))
    columns[1] = [struct.pack("<2d", 1.0, 2.0), struct.pack("<2I", 1, 1)]
    return msgspec.msgpack.encode([outer[0], zlib.compress(msgspec.msgpack.encode(columns))])


def decoded(body):
    """The batch, or the error."""
    try:
        return FrameDecoder().decode(body)
    except PermanentError as error:
        return error


@given(st.one_of(st.binary(max_size=200), st.builds(changed, st.integers(0, 1000), st.integers(0, 255))))
@example(uneven())
@example(SOUND[HEADER.size :])
def test_a_body_of_another_kind_is_refused_with_a_reason(body):
    """Whatever bytes a frame holds, they are a batch whose columns fit one another, or a permanent error in words."""
    found = decoded(body)
    if isinstance(found, PermanentError):
        assert re.match(rf"spool frame of {len(body)} bytes: .", str(found))
        return
    columns = (found.index, found.time_s, found.received_s, found.value, found.code)
    assert {len(column) for column in columns} == {len(found.points)}
    assert all(isinstance(point, str) for point in found.points)


def test_first_in_first_out_over_a_restart(tmp_path):
    """What was committed is gone, what was not comes again, in order."""
    spool = open_spool(tmp_path)
    spool.append([batch(0), batch(10)])
    spool.append([batch(20)])
    spool.commit(spool.read().end)
    spool.close()
    assert times(open_spool(tmp_path)) == [10, 11, 12, 20, 21, 22]


@pytest.mark.parametrize("cut", [1, 5, 13, 40])
def test_a_torn_tail_costs_only_the_torn_frame(tmp_path, cut):
    """A crash in the middle of a write loses nothing that was whole, and what follows is kept."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    spool.append([batch(10)])
    spool.close()
    path = next(tmp_path.glob("*.seg"))
    os.truncate(path, path.stat().st_size - cut)
    spool = open_spool(tmp_path)
    assert spool.damaged_frames == 1
    spool.append([batch(20)])
    assert times(spool) == [0, 1, 2, 20, 21, 22]


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path):
    """A copy that somebody made beside a segment, e.g.; the spool opens, and the copy stays as it is."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    spool.close()
    path = next(tmp_path.glob("*.seg"))
    copy = path.with_name(f"{path.stem} (copy).seg")
    copy.write_bytes(path.read_bytes() + b"torn")
    assert times(open_spool(tmp_path)) == [0, 1, 2]
    assert copy.read_bytes().endswith(b"torn")


def test_a_flipped_bit_is_never_read_as_data(tmp_path):
    """Damage inside a frame is found by its checksum; what lies before and what comes after is kept."""
    spool = open_spool(tmp_path)
    spool.append([batch(0)])
    whole = spool.size_bytes
    spool.append([batch(10)])
    spool.close()
    path = next(tmp_path.glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[whole + HEADER.size + 30] ^= 1
    path.write_bytes(data)
    spool = open_spool(tmp_path)
    spool.append([batch(20)])
    assert times(spool) == [0, 1, 2, 20, 21, 22]
    assert spool.damaged_frames == 1


def one_segment(folder, frames=5):
    """A closed spool of some frames in one segment; its path."""
    spool = open_spool(folder)
    for i in range(frames):
        spool.append([batch(10 * i)])
    spool.close()
    return next(folder.glob("*.seg"))


def test_one_damaged_byte_costs_one_frame_wherever_it_is(tmp_path):
    """For every byte of a segment: flipped, it never makes a wrong sample, costs one frame at most, and is counted."""
    data = one_segment(tmp_path / "sound").read_bytes()
    rng = np.random.default_rng(4)
    for place in [*range(60), *rng.choice(np.arange(60, len(data)), 120, replace=False).tolist()]:
        folder = tmp_path / f"flipped-{place}"
        folder.mkdir()
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        (folder / "00000001.seg").write_bytes(damaged)
        spool = open_spool(folder)
        found = times(spool)
        lost = {0, 10, 20, 30, 40} - set(found)
        assert len(lost) <= 1
        assert found == [float(t + i) for t in (0, 10, 20, 30, 40) if t not in lost for i in range(3)]
        assert spool.damaged_frames == 1


def test_a_tear_at_any_byte_keeps_all_before_it(tmp_path):
    """However much of a segment a crash left, every whole frame is there and appending goes on."""
    data = one_segment(tmp_path / "sound", 3).read_bytes()
    ends = [frame.end for frame in scan(data, len(SEGMENT_MARK))]
    for length in range(0, len(data), 7):
        folder = tmp_path / f"torn-{length}"
        folder.mkdir()
        (folder / "00000001.seg").write_bytes(data[:length])
        spool = open_spool(folder)
        spool.append([batch(90)])
        whole = sum(end <= length for end in ends)
        assert times(spool)[::3] == [*(10.0 * i for i in range(whole)), 90.0]
        spool.close()


def test_damage_while_it_runs_is_skipped_and_counted_once(tmp_path):
    """A disk that spoils a frame after it was checked costs that frame, is counted once, and stops nobody."""
    spool = open_spool(tmp_path)
    for i in range(4):
        spool.append([batch(10 * i)])
    path = next(tmp_path.glob("*.seg"))
    data = bytearray(path.read_bytes())
    second = data.index(MAGIC, data.index(MAGIC) + 1)
    data[second] ^= 1
    path.write_bytes(data)
    for _ in range(3):
        assert [f.batch.time_s[0] for f in spool.read_on(None, 1000)] == [0, 20, 30]
    assert spool.damaged_frames == 1


@pytest.mark.parametrize("before", [0, 2])
def test_a_segment_that_somebody_deletes_is_counted_and_left(tmp_path, before):
    """What comes after is kept in a new file and survives a restart; what was lost is counted, without what was read."""
    spool = open_spool(tmp_path)
    spool.append([batch(10 * i) for i in range(4)])
    for _ in range(before):
        spool.commit(spool.read().end)
    next(tmp_path.glob("*.seg")).unlink()
    spool.append([batch(50)])
    assert spool.damage == Damage(1, 12 - 3 * before)
    assert spool.damaged_frames == 1
    assert times(spool) == [50, 51, 52]
    spool.append([batch(60)])
    spool.close()
    assert times(open_spool(tmp_path)) == [60, 61, 62]


def test_a_deleted_segment_that_nobody_writes_is_counted_once(tmp_path):
    """Found when it is read: its samples are counted, and the next segment follows."""
    spool = open_spool(tmp_path)
    spool._segment_bytes = 1
    spool.append([batch(0)])
    spool.append([batch(10)])
    min(tmp_path.glob("*.seg")).unlink()
    for _ in range(3):
        assert [f.batch.time_s[0] for f in spool.read_on(None, 1000)] == [10]
    assert (spool.damage, spool.dropped_samples, spool.pending_samples) == (Damage(1, 3), 0, 3)


def test_a_removed_folder_is_made_again(tmp_path):
    """The next append is accepted and read back, also after a restart."""
    folder = tmp_path / "spool"
    spool = open_spool(folder)
    spool.append([batch(0)])
    shutil.rmtree(folder)
    spool.append([batch(10)])
    assert spool.damage == Damage(1, 3)
    spool.close()
    assert times(open_spool(folder)) == [10, 11, 12]


def test_a_segment_cut_short_costs_what_was_cut(tmp_path):
    """Reading ends and says so, once; what is accepted after the cut is read and survives a restart."""
    spool = open_spool(tmp_path)
    for i in range(5):
        spool.append([batch(10 * i)])
    path = next(tmp_path.glob("*.seg"))
    os.truncate(path, path.stat().st_size // 2)
    spool.append([batch(90)])
    for _ in range(3):
        assert [f.batch.time_s[0] for f in spool.read_on(None, 1000)] == [0, 10, 90]
    assert (spool.damaged_frames, spool.damage.places) == (1, 1)
    spool.close()
    assert times(open_spool(tmp_path))[::3] == [0, 10, 90]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EIO, "check the disk")],
)
def test_a_failing_disk_is_not_called_full(tmp_path, monkeypatch, number, said):
    """The remedy is that of the error."""

    def fail(_):
        raise OSError(number, os.strerror(number))

    spool = open_spool(tmp_path)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StoreError, match=said):
        spool.append([batch(0)])


def test_spools_of_the_first_format_are_still_read(tmp_path):
    """What an older coldplate left behind is forwarded, and what is new comes after it."""
    frames = []
    for start in (0.0, 10.0):
        columns = [np.arange(3.0) + start, np.zeros(3), np.arange(3.0)]
        plain = [["a/t"], np.zeros(3, "<u4").tobytes(), *(c.tobytes() for c in columns), np.zeros(3, "<i4").tobytes()]
        body = zlib.compress(msgspec.msgpack.encode(plain), 1)
        frames.append(struct.pack("<III", len(body), zlib.crc32(body), 3) + body)
    (tmp_path / "00000007.seg").write_bytes(b"".join(frames) + frames[0][:20])
    (tmp_path / "cursor.json").write_text('{"segment": 7, "offset": 0}')
    spool = open_spool(tmp_path)
    assert spool.damaged_frames == 1
    spool.append([batch(20)])
    assert times(spool) == [0, 1, 2, 10, 11, 12, 20, 21, 22]


def test_the_oldest_go_first_and_are_counted(tmp_path):
    """A full spool drops its oldest samples, says how many, and stays within its bytes."""
    rng = np.random.default_rng(1)
    spool = open_spool(tmp_path, 200_000)
    for i in range(100):
        rows = [(f"p/{j}", float(i), 0.0, v, 0) for j, v in enumerate(rng.random(500).tolist())]
        spool.append([SampleBatch.of(rows)])
    assert spool.size_bytes <= 200_000
    assert sum(f.stat().st_size for f in tmp_path.glob("*.seg")) == spool.size_bytes
    left = times(spool)
    assert left == sorted(left)
    assert left[-1] == 99
    assert len(left) + spool.dropped_samples == 50_000
    assert spool.dropped_samples > 0


def aged(clock, folder, **options):
    """A spool that keeps a thousand seconds of site time."""
    return Spool(folder, 10_000_000, clock, max_age_s=1000.0, **options)


def received(clock, start):
    """Three samples received now."""
    return SampleBatch.of([("a/t", float(start + i), clock.now(), 0.0, 0) for i in range(3)])


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_too_old_goes_and_is_counted_apart(tmp_path, restart):
    """Samples older than allowed are dropped, by age and not by size, also those that an earlier run left."""
    clock = ManualClock()
    spool = aged(clock, tmp_path)
    for i in range(30):
        spool.append([received(clock, 10 * i)])
        clock.advance(100.0)
    if restart:
        spool.close()
        spool = aged(clock, tmp_path)
    left = times(spool)[::3]
    assert left == [10.0 * i for i in range(30 - len(left), 30)]
    assert 10 <= len(left) <= 11
    assert spool.dropped.by_size == 0
    if not restart:
        assert spool.dropped.by_age == 3 * (30 - len(left))
        assert spool.dropped.until_s == pytest.approx(clock.epoch_s + 100.0 * (29 - len(left)))


def test_a_clock_that_is_set_ahead_costs_no_samples(tmp_path):
    """For a moment the clock is a year ahead, and then put right: what the store has not had yet is still there."""
    clock = ManualClock()
    spool = aged(clock, tmp_path)
    for at_s in (0.0, 366 * 86_400.0, -366 * 86_400.0):
        clock.epoch_s += at_s
        clock.advance(100.0)
        spool.append([received(clock, round(clock.elapsed_s))])
    assert times(spool) == [100, 101, 102, 200, 201, 202, 300, 301, 302]
    assert spool.dropped_samples == 0


def test_samples_taken_before_the_clock_was_set_do_not_go_by_age(tmp_path):
    """A box that starts in 1970 and is then set right keeps what it took in between."""
    clock = ManualClock(epoch_s=100.0)
    spool = aged(clock, tmp_path)
    spool.append([received(clock, 0)])
    clock.epoch_s = 1_800_000_000.0
    spool.append([received(clock, 10)])
    spool.close()
    assert times(aged(clock, tmp_path)) == [0, 1, 2, 10, 11, 12]


def test_one_sync_a_flush(tmp_path, monkeypatch):
    """However many frames a flush has, it is synced once, and the time that took is known."""
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(file) or real(file))
    spool = open_spool(tmp_path)
    spool.append([batch(10 * i) for i in range(7)])
    assert len(synced) == 1
    assert 0 < spool.last_sync_s <= spool.slowest_sync_s


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_kept_for_replay_can_be_read_again(tmp_path, restart):
    """After going back, all from the kept place on comes again in order; what lies before it is gone for good."""
    spool = open_spool(tmp_path)
    spool.append([batch(10 * i) for i in range(5)])
    frames = spool.read_on(None, 1000)
    spool.commit(frames[3].end, keep_from=frames[1].start)
    assert spool.read().batch.time_s[0] == 40
    if restart:
        spool.close()
        spool = open_spool(tmp_path)
    assert spool.rewind() == frames[3].end
    assert times(spool)[::3] == [10, 20, 30, 40]
    assert spool.rewind() == spool.rewind()


def test_kept_segments_stay_until_they_are_let_go(tmp_path):
    """Segments that a replay may need stay on disk, are not counted as waiting, and go when the window has passed."""
    spool = open_spool(tmp_path, 100_000_000)
    spool._segment_bytes = 1000  # small ones, so that a test needs no megabytes
    for i in range(40):
        spool.append([noise(i)])
    frames = spool.read_on(None, 10**9)
    spool.commit(frames[-1].end, keep_from=frames[10].start)
    assert spool.pending_samples == 0
    assert len(list(tmp_path.glob("*.seg"))) == 30
    spool.commit(frames[-1].end)
    assert len(list(tmp_path.glob("*.seg"))) == 1


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(start):
    """A batch that does not compress."""
    values = np.random.default_rng(start).random(1000)
    return SampleBatch.of([(f"p/{i}", float(start), 0.0, v, 0) for i, v in enumerate(values.tolist())])


def fill(spool):
    """Append until the disk is full; the numbers of the batches that were accepted."""
    for number in range(1000):
        try:
            spool.append([noise(number)])
        except StoreError:
            return list(range(number))
    raise AssertionError("the disk never got full")


def test_a_full_disk_loses_nothing_accepted(tiny_disk):
    """Accepted batches survive a really full disk, refused ones are told, and it goes on when there is space."""
    filler = tiny_disk / "filler"
    filler.write_bytes(b"x" * 150_000)
    spool = open_spool(tiny_disk / "spool")
    accepted = fill(spool)
    for _ in range(20):
        with pytest.raises(StoreError, match="free some space"):
            spool.append([noise(5000)])
    filler.unlink()
    spool.append([noise(1000)])
    spool.close()
    assert list(dict.fromkeys(times(open_spool(tiny_disk / "spool")))) == [*accepted, 1000]
