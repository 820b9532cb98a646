"""One query's track: rules 7 to 10 of docs/stream.md, on a model that sees colours."""

from streams import ColourModel, bars, fifo_times, frame, query, run, session, states

from virst_model.answer import LOST, SEARCHING, TRACKING

# Rule 7.


def test_anchors_keep_their_times_and_the_bank_holds_eight_oldest_out():
    stream = session(window_size=8, reground_every=4)
    stream.set_queries((query(1),))

    times = []
    for t in range(60):
        stream.step(frame(t, red=1), float(t))
        times.append(stream.tracks[0].memory.anchor_times)

    assert times[3] == (3,)
    assert times[7] == (0, 7)  # the first and the last of 8 frames: Alg. 2; 3 was in the window
    assert times[11] == (0, 4, 11)
    assert max(len(x) for x in times) == 8
    assert times[59][-1] == 59 and times[59][0] > 0


def test_a_regrounding_replaces_the_anchors_of_its_window():
    stream = session(window_size=16, reground_every=8)
    stream.set_queries((query(1),))

    run(stream, [frame(t, red=1) for t in range(25)])
    before = stream.tracks[0].memory.anchor_times
    run(stream, [frame(t, red=1) for t in range(25, 33)], start=25)

    # Four anchors in 16 frames, 5 apart: windows 0..15, 8..23 and 16..31.
    assert before == (0, 5, 8, 13, 18, 23)
    assert stream.tracks[0].memory.anchor_times == (0, 5, 8, 13, 16, 21, 26, 31)


def test_at_most_two_anchors_a_frame_are_decoded_newest_first():
    model = ColourModel()
    stream = session(model, window_size=32)
    stream.set_queries((query(1),))

    counts = []
    for t in range(40):
        before = len(model.decoded)
        stream.step(frame(t, red=1), float(t))
        counts.append(len(model.decoded) - before)

    assert max(counts) == 2
    assert counts[31:35] == [2, 2, 2, 2]
    assert model.decoded[-10:-2] == [31, 27, 22, 18, 13, 9, 4, 0]  # linspace(0, 31, 8), rounded


def test_new_anchors_take_over_when_the_nearest_are_ready():
    model = ColourModel()
    stream = session(model, window_size=32)
    stream.set_queries((query(1),))

    bank = []
    for t in range(36):
        stream.step(frame(t, red=1), float(t))
        bank.append(stream.tracks[0].memory.anchor_times)

    assert bank[31][-1] == 23  # two of the new ones are decoded; alpha is 3
    assert bank[32] == (18, 22, 27, 31)
    assert bank[34] == (0, 4, 9, 13, 18, 22, 27, 31)


# Rule 8.


def test_a_new_query_replays_the_cached_frames_two_a_frame_while_searching():
    model = ColourModel()
    stream = session(model, window_size=8, grounding_delay_frames=5)
    stream.set_queries((query(1),))

    results = run(stream, [frame(t, red=t % 8) for t in range(14)])

    # Asked at 3, answered at 8, which replays 4 and 5; then 6 and 7, then 8 and 9: up to date.
    assert model.replayed == [*range(4, 14)]
    assert states(results) == [SEARCHING] * 10 + [TRACKING] * 4
    assert [bars(result.mask_HW) for result in results] == [[]] * 10 + [[2], [3], [4], [5]]


def test_a_catch_up_starts_with_at_most_eight_frames():
    model = ColourModel()
    stream = session(model, window_size=32, grounding_delay_frames=20)
    stream.set_queries((query(1),))

    run(stream, [frame(t, red=1) for t in range(24)])

    assert model.decoded == [3]
    assert model.replayed == [15, 16]  # at frame 23: 15..22 are the newest eight


def test_a_catch_up_leaves_out_frames_that_were_not_sampled():
    model = ColourModel()
    stream = session(model, window_period_s=2.0, grounding_delay_frames=6)
    stream.set_queries((query(1),))

    run(stream, [frame(t, red=1) for t in range(14)])

    # Sampled: the even ones; asked at 6, answered at 12, the first frame that is followed.
    assert model.replayed == [8, 10, 12, 13]


# Rule 9.


def test_the_fifo_stays_when_the_same_object_is_grounded_again():
    stream = session(window_size=8, reground_every=8)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(15)])
    memory = stream.tracks[0].memory

    before = fifo_times(memory)
    result = stream.step(frame(15, red=1), 15.0)

    assert memory.anchor_times[-1] == 15
    assert set(before) - set(fifo_times(memory)) <= {9}
    assert result.results[0].state == TRACKING


def test_a_selected_anchor_is_a_hole_in_the_fifo():
    stream = session(window_size=8, reground_every=8)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(16)])

    read = stream.tracks[0].memory.read(17)

    alpha = 3
    assert read.map_valid[0, alpha:].tolist() == [False, False, True, True, True, True]
    # Frame 16 was not tracked yet, frame 15 is the newest anchor, 14..11 are the FIFO's.


def test_a_frame_that_is_an_anchor_shows_the_anchors_mask():
    model = ColourModel()
    stream = session(model)
    stream.set_queries((query(1),))

    run(stream, [frame(t, red=t) for t in range(8)])

    assert 3 not in model.replayed and 7 not in model.replayed
    assert model.replayed == [4, 5, 6]


# Rule 10.


def test_an_answer_that_contradicts_the_track_is_followed():
    model = ColourModel()
    stream = session(model, reground_every=8)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1, blue=5) for t in range(15)])

    model.says["red"] = "blue"
    results = run(stream, [frame(t, red=1, blue=5) for t in range(15, 18)], start=15)

    assert states(results) == [TRACKING] * 3
    assert bars(results[2].results[0].mask_HW) == [5]
    assert stream.tracks[0].memory.anchor_times == (8, 15)
    assert min(fifo_times(stream.tracks[0].memory)) >= 15
    assert stream.stats()["contradictions"] == 1


def test_a_contradiction_is_followed_once():
    model = ColourModel()
    stream = session(model, reground_every=4)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1, blue=5) for t in range(15)])
    model.says["red"] = "blue"

    run(stream, [frame(t, red=1, blue=5) for t in range(15, 40)], start=15)

    assert stream.stats()["contradictions"] == 1


def test_anchors_without_the_object_stay_out_of_the_bank():
    stream = session()
    stream.set_queries((query(1),))

    run(stream, [frame(t, **({"red": 1} if t > 0 else {})) for t in range(8)])

    assert stream.tracks[0].memory.anchor_times == (7,)  # not 0


def test_two_groundings_without_the_object_lose_it_and_one_with_it_finds_it():
    stream = session(reground_every=4)
    stream.set_queries((query(1),))
    present = [frame(t, red=1) for t in range(8)]
    gone = [frame(t) for t in range(8, 28)]
    back = [frame(t, red=6) for t in range(28, 40)]

    results = run(stream, present + gone + back)

    by_time = states(results)
    # Groundings of 8 frames at 11 (half of it), 15, 19 (nothing of it); at 31: anchors 24, 31.
    assert by_time[3:19] == [TRACKING] * 16
    assert by_time[19:31] == [LOST] * 12
    assert by_time[31:] == [TRACKING] * 9
    assert not any(result.mask_HW.any() for result in results[8:31])
    assert bars(results[31].results[0].mask_HW) == [6]


def test_the_fifo_is_frozen_while_lost():
    stream = session(reground_every=4)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(8)] + [frame(t) for t in range(8, 20)])
    memory = stream.tracks[0].memory
    assert stream.tracks[0].state == LOST

    before = fifo_times(memory)
    run(stream, [frame(t) for t in range(20, 30)], start=20)

    assert fifo_times(memory) == before


def test_an_object_that_was_never_seen_is_searched_twice_and_then_lost():
    stream = session()
    stream.set_queries((query(1),))

    by_time = states(run(stream, [frame(t, blue=1) for t in range(10)]))

    assert by_time == [SEARCHING] * 7 + [LOST] * 3


def test_one_grounding_without_the_object_changes_nothing():
    model = ColourModel()
    stream = session(model, reground_every=4)
    stream.set_queries((query(1),))
    run(stream, [frame(t, red=1) for t in range(8)])

    model.says["red"] = "blue"
    middle = run(stream, [frame(t, red=1) for t in range(8, 12)], start=8)
    model.says["red"] = "red"
    after = run(stream, [frame(t, red=1) for t in range(12, 20)], start=12)

    assert all(bars(r.mask_HW) == [1] for r in middle + after)


def test_a_hidden_object_has_an_empty_mask_and_is_still_tracked():
    stream = session(reground_every=8)
    stream.set_queries((query(1),))

    results = run(stream, [frame(t, red=1) for t in range(9)] + [frame(9), frame(10, red=2)])

    hidden, again = results[9].results[0], results[10].results[0]
    assert (hidden.state, hidden.area, hidden.box) == (TRACKING, 0, (0, 0, 0, 0))
    assert hidden.presence < 0.5 < again.presence
    assert bars(again.mask_HW) == [2]
