"""A training that ends early, by whatever, and goes on as if it had not."""

import json
import random
import resource
import shutil
import signal

from patience import wait_until
import pytest
from training import (
    begin,
    begin_held,
    checkpoints,
    command,
    finish,
    logged,
    run,
    run_here,
    smallest_weights,
)

from virst_model.train.__main__ import main as train
from virst_model.train.loop import Stop
from virst_model.train.snapshots import newest


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return smallest_weights(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """The folder of a run that nothing ended."""
    out = tmp_path_factory.mktemp("whole")
    status, said = run(command("propagation", out, start))
    assert status == 0, said
    return out


def wait_for_step(process, out, step):
    """Until the log has a step's line; the process may have ended before, to a test's surprise."""
    log = out / "log.jsonl"

    def written() -> bool:
        lines = log.read_text().splitlines() if log.exists() else []
        return len(lines) >= step or process.poll() is not None

    assert wait_until(written)


def test_a_killed_run_goes_on_with_the_losses_of_one_never_killed(start, whole, tmp_path):
    arguments = command("propagation", tmp_path, start)
    step = random.SystemRandom().randint(1, 5)
    process = begin_held(arguments, tmp_path / "never", step)
    wait_for_step(process, tmp_path, step)
    assert len(logged(tmp_path)) == step
    process.send_signal(signal.SIGKILL)
    finish(process)

    status, said = run(arguments)

    assert status == 0, said
    assert logged(tmp_path) == logged(whole)
    assert len(logged(whole)) == 6
    trained = "weights/model.safetensors"
    assert (tmp_path / trained).read_bytes() == (whole / trained).read_bytes()


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_saves_and_says_success(start, whole, tmp_path, asked):
    arguments = command("propagation", tmp_path, start, save_every=100)
    process = begin_held(arguments, tmp_path / "gate", step=1)
    wait_for_step(process, tmp_path, step=1)
    process.send_signal(asked)
    (tmp_path / "gate").touch()
    status, said = finish(process)
    assert status == 0, said
    assert "Traceback" not in said
    assert len(checkpoints(tmp_path)) == 1
    done = len(logged(tmp_path))
    assert done < 6

    assert run(arguments)[0] == 0
    assert logged(tmp_path) == logged(whole)


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_last_step_lets_it_finish_and_begins_no_other_stage(
    start, tmp_path, asked
):
    arguments = command("alignment", tmp_path, start, steps=1, accumulate=1)
    process = begin_held(["alignment", "few_image", *arguments[1:]], tmp_path / "gate", step=1)
    wait_for_step(process, tmp_path / "alignment", step=1)
    process.send_signal(asked)
    (tmp_path / "gate").touch()
    status, said = finish(process)

    assert status == 0, said
    assert (tmp_path / "alignment" / "weights" / "model.safetensors").is_file()
    assert not (tmp_path / "few_image").exists()


def test_the_newest_two_checkpoints_are_kept(whole):
    assert checkpoints(whole) == ["step-00000004", "step-00000006"]


def test_a_finished_run_has_nothing_to_do_and_says_so(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    assert train([*command("propagation", tmp_path, start)]) == 0

    assert logged(tmp_path) == logged(whole)
    assert "propagation: already finished, 6 steps; the weights are in" in capfd.readouterr().out


def test_a_finished_run_is_not_gone_on_with_by_other_settings(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    arguments = command("propagation", tmp_path, start, seed=7, lr=0.5, draws__anchors=1)
    assert train(arguments) == 2

    said = capfd.readouterr().err
    assert f"{tmp_path}: holds a finished run with other settings (" in said
    for changed in ("seed was 0, is 7", "lr was ", "is 0.5", "draws.anchors was ", "another out"):
        assert changed in said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_what_does_not_change_the_weights_may_change(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    assert train(command("propagation", tmp_path, start, log_every=5, drawers=1)) == 0

    assert "already finished" in capfd.readouterr().out


def test_a_run_of_before_its_settings_were_written_is_gone_on_with(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "settings.json").unlink()

    assert train(command("propagation", tmp_path, start)) == 0

    assert "already finished" in capfd.readouterr().out
    assert not (tmp_path / "settings.json").exists()  # what it was told, nobody knows


def test_more_steps_say_what_becomes_of_the_rate(start, whole, tmp_path, caplog):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    assert train(command("propagation", tmp_path, start, steps=7)) == 0

    before, after = (line["lr"] for line in logged(tmp_path)[-2:])
    said = caplog.text
    assert "6 steps become 7, in one " in said
    assert f"the learning rate was {before:.3g} at step 6, and is {after:.3g} now" in said
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 7


def test_fewer_steps_than_are_done_are_refused(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    assert train(command("propagation", tmp_path, start, steps=4)) == 2

    assert "6 steps are done already; steps is 4" in capfd.readouterr().err


def test_an_unfinished_run_goes_on_with_other_settings_and_names_them(
    start, whole, tmp_path, caplog
):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(newest(tmp_path))

    assert train(command("propagation", tmp_path, start, lr=1e-6)) == 0

    said = caplog.text
    assert f"{tmp_path}: goes on from step 4 with other settings (lr was" in said


def test_a_checkpoint_that_was_not_finished_is_none(tmp_path):
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    (tmp_path / "checkpoints" / ".part-00000004").mkdir()

    assert newest(tmp_path).name == "step-00000002"


def test_a_damaged_checkpoint_is_one_clear_line(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    broken = tmp_path / "checkpoints" / "step-00000006" / "weights.safetensors"
    broken.write_bytes(broken.read_bytes()[:1000])

    status, said = run_here(command("propagation", tmp_path, start, steps=8), capfd)

    assert status == 1
    assert said.startswith(f"error: {broken.parent}: ") and "delete it" in said


def test_another_stage_does_not_go_on_from_the_checkpoint(start, whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    status, said = run_here(command("alignment", tmp_path, start), capfd)

    assert status == 1
    assert "is of the stage propagation, not alignment" in said


def test_a_run_does_not_go_on_from_another_start(whole, tmp_path, capfd):
    shutil.copytree(whole, tmp_path / "run")

    shutil.rmtree(newest(tmp_path / "run"))

    status, said = run_here(command("propagation", tmp_path / "run", whole / "weights"), capfd)

    assert status == 1
    assert "is of a run with another start" in said


def test_a_folder_with_a_run_is_refused_where_nothing_is_to_be_resumed(
    start, whole, tmp_path, capfd
):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)

    status, said = run_here(command("propagation", tmp_path, start, resume="never"), capfd)

    assert status == 1
    assert "holds a run already" in said


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_the_last_checkpoint(
    start, tmp_path, capfd
):
    status, said = run_here(
        command("alignment", tmp_path, start, lr=1e30, warmup=0, save_every=1), capfd
    )

    assert status == 1
    assert "the loss is nan" in said and "newest checkpoint is step-" in said
    assert checkpoints(tmp_path)[-1] in said


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(start, tmp_path):
    assert train(command("alignment", tmp_path, start, steps=2)) == 0
    before = newest(tmp_path)
    size = max(path.stat().st_size for path in before.iterdir())

    def no_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    process = begin(command("alignment", tmp_path, start, steps=4), preexec_fn=no_room)
    status, said = finish(process)

    assert status == 1
    assert f"{tmp_path}: cannot be written" in said
    assert f"newest checkpoint is {before.name}" in said
    assert checkpoints(tmp_path) == [before.name]
    assert train(command("alignment", tmp_path, start, steps=4)) == 0  # there is room again


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("optimizer.pt", b""),
        ("optimizer.pt", b"PK\x03\x04" + bytes(99)),
        ("progress.json", b"[1]"),
        ("progress.json", b'{"stage": "propagation", "step": "4"}'),
        ("weights.safetensors", b"{}"),
    ],
)
def test_any_damaged_file_of_a_checkpoint_is_one_line(
    start, whole, tmp_path, capfd, name, content
):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(newest(tmp_path))
    (newest(tmp_path) / name).write_bytes(content)

    assert train(command("propagation", tmp_path, start)) == 1

    said = capfd.readouterr().err.strip().rpartition("\n")[2]
    assert said.startswith(f"error: {newest(tmp_path)}: cannot be gone on from (")


def test_a_second_ctrl_c_does_not_wait():
    with Stop() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(start, whole, tmp_path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(newest(tmp_path))

    arguments = command("propagation", tmp_path, start, accumulate=1)
    status, said = run(arguments, processes=2)

    assert status == 0, said
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    for alone, shared in zip(logged(whole), logged(tmp_path), strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], abs=1e-5)


@pytest.mark.slow
def test_several_processes_that_are_asked_to_end_save_together(start, tmp_path):
    arguments = command("propagation", tmp_path, start, steps=500, save_every=1000)
    process = begin(arguments, processes=2)
    wait_for_step(process, tmp_path, step=2)
    process.send_signal(signal.SIGTERM)
    finish(process)  # the launcher's own status is not 0

    (saved,) = checkpoints(tmp_path)
    assert saved == f"step-{len(logged(tmp_path)):08}"
