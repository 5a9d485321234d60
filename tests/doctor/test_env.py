"""Every finding of ``env``: figures that are given, systems that are imitated, a Hub on this machine."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from huggingface_hub import constants
from server import Fault, LocalHub

from spin_hub.checkpoint.index import read_index
from spin_hub.cli.app import run
from spin_hub.doctor import devices as env_devices
from spin_hub.doctor import hub as env_hub
from spin_hub.doctor import packages as env_packages
from spin_hub.doctor import places as env_places
from spin_hub.doctor import processor as env_processor
from spin_hub.doctor.findings import Finding, Report, shown, shown_path, weights_in
from spin_hub.hub import settings
from spin_hub.hub import token as hub_token
from spin_hub.hub.settings import address
from spin_hub.hub.token import Account, TokenState
from spin_hub.models import device as placement
from spin_hub.models.device import place
from spin_hub.models.speed import Speed, Unusable

HIDDEN = ("HF_", "TRANSFORMERS_", "SPIN_HUB_", "OMP_", "CUDA_", "XDG_", "HUGGING")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch, tmp_path):
    """No variable of the person at this machine, and speeds that take no time."""
    for name in list(os.environ):
        if name.startswith(HIDDEN) or name.upper() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("SPIN_HUB_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("SPIN_HUB_SPEEDS", "float32:141,bfloat16:280,float16:1.3")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")


@pytest.fixture
def look(capfd) -> Callable[..., tuple[int, str]]:
    """Runs the command and gives its exit code and output."""

    def command(*options: str) -> tuple[int, str]:
        code = run(["env", *options])
        return code, capfd.readouterr().out

    return command


def named(findings) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


# --- the command --------------------------------------------------------------------------------------------


def test_the_json_has_value_state_and_note_of_each_finding(look):
    code, out = look("--json")
    report = json.loads(out)
    assert code == 0
    assert list(report["sections"]) == ["software", "processor", "gpu", "memory", "disk", "hub", "variables"]
    entries = [entry for section in report["sections"].values() for entry in section.values()]
    assert all({"value", "state", "note"} <= set(entry) for entry in entries)
    assert {entry["state"] for entry in entries} <= {"ok", "note", "problem"}
    assert report["notes"] == sum(entry["state"] == "note" for entry in entries)
    assert report["problems"] == sum(entry["state"] == "problem" for entry in entries)
    assert report["sections"]["processor"]["bfloat16"]["figures"] == dict.fromkeys(
        ("forward", "backward", "gradient"), 280.0
    )


def test_the_table_fits_80_columns(look, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("SPIN_HUB_" + "X" * 200, "y" * 5000)
    monkeypatch.setenv("HTTPS_PROXY", "http://" + "host." * 100 + "example:3128")
    code, out = look()
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert out.rstrip().splitlines()[-1].endswith("notes.")


def test_quiet_prints_nothing_and_wrong_options_are_refused(look):
    assert look("--quiet") == (0, "")
    assert look("--nope")[0] == 2


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_hostile_values_are_shown_harmlessly(look, monkeypatch, form):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    monkeypatch.setenv("SPIN_HUB_SPEEDS", "\x1b[31mhf_secretsecret")
    monkeypatch.setenv("SPIN_HUB_ODD\x1b[2J", "\x1b]0;title\x07\u202egnp.exe\n" + "z" * 100_000)
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@proxy.example:3128/?key=secret")
    monkeypatch.setenv("NO_PROXY", "localhost, me:secret@intern.example,\x1b[1m")
    monkeypatch.setattr(constants, "ENDPOINT", "https://me:secret@mirror.example/hf?key=secret")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@mirror.example/hf?key=secret")
    code, out = look(*form)
    assert code == 0
    assert "secret" not in out
    assert not set(out) & {"\x1b", "\x07", "\u202e"}
    assert len(out) < 20_000
    assert "proxy.example:3128" in out
    assert "https://mirror.example/hf" in out


def test_a_wrong_setting_of_speeds_is_a_finding(look, monkeypatch):
    monkeypatch.setenv("SPIN_HUB_SPEEDS", "fast")
    code, out = look("--json")
    found = json.loads(out)["sections"]["processor"]["speeds"]
    assert (code, found["state"]) == (0, "problem")
    assert "not 'fast'" in found["note"]


# --- versions -----------------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch) -> Callable[..., dict[str, Finding]]:
    """The findings on packages, some of which have other versions; None for one that is not there."""

    def packages(requirements: dict[str, list[str]] | None = None, **others: str | None) -> dict[str, Finding]:
        usual = {"torch": "2.13.0+cpu", "transformers": "5.23.0", "peft": "0.21.2", "lm_eval": "0.4.13", **others}
        monkeypatch.setattr(env_packages, "_installed", usual.get)
        if requirements:
            monkeypatch.setattr(env_packages, "requires", requirements.get)
        return named(env_packages.packages())

    return packages


def test_versions_that_fit_are_ok(installed):
    assert {finding.state for finding in installed().values()} == {"ok"}


@pytest.mark.parametrize(
    ("package", "version", "state", "said"),
    [
        ("transformers", "5.3.0", "problem", "loses the spaces"),
        ("peft", "0.20.1", "note", "--as peft fails"),
        ("huggingface_hub", "0.36.0", "problem", "another HTTP client"),
        ("typer", "0.25.1", "problem", "Click"),
        ("transformers", "4.57.1", "problem", " or newer. Update it."),
        ("torch", "2.5.1", "problem", " or newer. Update it."),
        ("peft", None, "note", 'pip install "spin-hub[peft]"'),
        ("lm_eval", None, "note", 'pip install "spin-hub[eval]"'),
        ("transformers", "5.30.0", "ok", "Loads models"),
        ("transformers", "main", "problem", " or newer. Update it."),
    ],
)
def test_versions_known_to_conflict(installed, package, version, state, said):
    found = installed(**{package: version})[package]
    assert found.state == state
    assert said in found.note


def test_a_torchvision_built_for_another_torch(installed):
    pins = {"torchvision": ["numpy", "torch==2.13.0"], "torchaudio": ["torch (==2.12.0)"], "spin-hub": []}
    found = installed(pins, torchvision="0.28.0", torchaudio="2.12.0", vllm="0.12.0")
    assert found["torchvision"].state == "ok"
    assert found["torchaudio"].state == "problem"
    assert "built for torch 2.12.0, and torch is 2.13.0+cpu" in found["torchaudio"].note
    assert found["vllm"].state == "ok"


# --- processor ----------------------------------------------------------------------------------------------


def processor(monkeypatch, speeds: str) -> dict[str, Finding]:
    monkeypatch.setenv("SPIN_HUB_SPEEDS", speeds)
    return named(env_processor.processor())


def test_a_processor_without_half_precision(monkeypatch):
    found = processor(monkeypatch, "float32:141/143/140,bfloat16:1.2/1.3/22,float16:1.3/1.3/4.7")
    assert found["float32"].value == "141 / 143 / 140 GFLOP/s"
    assert found["bfloat16"].value == "1.2 / 1.3 / 22 GFLOP/s"
    assert found["bfloat16"].state == "note"
    assert found["bfloat16"].note == "88 times slower than float32. --dtype auto runs bfloat16 models in float32 here."
    assert "auto never chooses it" in found["float16"].note


def test_a_processor_with_half_precision(monkeypatch):
    found = processor(monkeypatch, "float32:1100,bfloat16:2200,float16:1100")
    assert found["float32"].value == "1,100 / 1,100 / 1,100 GFLOP/s"
    assert found["bfloat16"].state == "ok"
    assert found["bfloat16"].note == "2.0 times as fast as float32. --dtype auto runs bfloat16 models in bfloat16 here."
    assert found["float16"].note.startswith("As fast as float32.")


def test_precisions_that_cannot_be_used(monkeypatch):
    found = processor(monkeypatch, "float32:100")
    assert (found["bfloat16"].value, found["bfloat16"].state) == ("cannot be used", "note")
    found = processor(monkeypatch, "bfloat16:100")
    assert found["float32"].state == "problem"
    assert "to compare it with" in found["bfloat16"].note


@pytest.mark.parametrize("bfloat16", [1.2, 79, 81, 99, 250])
def test_what_is_said_of_auto_is_what_auto_does(sharded, monkeypatch, bfloat16):
    found = processor(monkeypatch, f"float32:100,bfloat16:{bfloat16}")
    chosen = place("cpu", "auto", read_index(sharded)).precision
    assert f"--dtype auto runs bfloat16 models in {chosen} here." in found["bfloat16"].note


def test_the_name_of_the_processor(monkeypatch):
    assert env_processor.processor_name()
    texts = {"/proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU\n"}
    monkeypatch.setattr(Path, "read_text", lambda self, *_: texts[self.as_posix()])
    assert env_processor.processor_name() == "Fast CPU"

    def missing(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(env_processor.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(env_processor.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="Apple M9\n"))
    assert env_processor.processor_name() == "Apple M9"
    monkeypatch.setattr(env_processor.platform, "system", lambda: "Windows")
    monkeypatch.setattr(env_processor.platform, "processor", lambda: "Intel64 Family 6")
    assert env_processor.processor_name() == "Intel64 Family 6"


@pytest.mark.parametrize(
    ("usable", "quota", "threads", "setting", "cores", "torch_threads", "said"),
    [
        (8, None, 8, "", "ok", "ok", "all cores"),
        (8, None, 4, "", "ok", "ok", "all cores"),
        (8, None, 1, "1", "ok", "note", "OMP_NUM_THREADS says so"),
        (8, None, 1, "", "ok", "note", "PyTorch decided so"),
        (2, None, 2, "", "note", "ok", "all cores"),
        (2, None, 8, "", "note", "problem", "Lower OMP_NUM_THREADS"),
        (8, 1.5, 8, "", "note", "problem", "Lower OMP_NUM_THREADS"),
    ],
)
def test_cores_and_threads(monkeypatch, usable, quota, threads, setting, cores, torch_threads, said):
    monkeypatch.setattr(env_processor.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    monkeypatch.setattr(env_processor, "usable_cores", lambda: usable)
    monkeypatch.setattr(env_processor, "container_cores", lambda: quota)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    found = named(env_processor.processor())
    assert found["cores"].value == "8 (4 physical)"
    assert (found["cores"].state, found["torch threads"].state) == (cores, torch_threads)
    assert said in found["torch threads"].note


def test_cores_that_a_process_may_use(monkeypatch):
    monkeypatch.setattr(env_processor.os, "cpu_count", lambda: 8)
    process = SimpleNamespace(cpu_affinity=lambda: [0, 3])
    monkeypatch.setattr(psutil, "Process", lambda: process)
    assert env_processor.usable_cores() == 2
    del process.cpu_affinity
    assert env_processor.usable_cores() == 8


def test_the_quota_of_a_container(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(env_processor, "_QUOTA", quota)
    for text, cores in (("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)):
        quota.write_text(text)
        assert env_processor.container_cores() == cores
    quota.unlink()
    assert env_processor.container_cores() is None


def test_neighbours_on_the_machine(monkeypatch):
    monkeypatch.setattr(env_processor, "usable_cores", lambda: 2)
    for load, state in ((0.1, "ok"), (7.5, "note")):
        monkeypatch.setattr(psutil, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert named(env_processor.processor())["load"].state == state

    def unknown() -> None:
        raise OSError

    monkeypatch.setattr(psutil, "getloadavg", unknown)
    assert named(env_processor.processor())["load"].value == "unknown"


@pytest.mark.parametrize(
    ("name", "value", "state", "said"),
    [
        ("OMP_WAIT_POLICY", "PASSIVE", "ok", "sleep"),
        ("OMP_WAIT_POLICY", "active", "note", "several times"),
        ("GOMP_SPINCOUNT", "1000", "ok", "sleep soon"),
        ("GOMP_SPINCOUNT", "300000", "note", "1000 avoids it"),
        ("GOMP_SPINCOUNT", "", "note", "1000 avoids it"),
        ("OMP_NUM_THREADS", "4", "ok", "threads"),
        ("OMP_NUM_THREADS", "4,2", "ok", "threads"),
        ("OMP_NUM_THREADS", "0", "problem", "no effect"),
        ("OMP_NUM_THREADS", "²", "problem", "no effect"),
        ("OMP_NUM_THREADS", "9" * 5000, "problem", "no effect"),
    ],
)
def test_settings_of_openmp(monkeypatch, name, value, state, said):
    monkeypatch.setenv(name, value)
    found = named(env_processor.processor())[name]
    assert found.state == state
    assert said in found.note


# --- GPUs ---------------------------------------------------------------------------------------------------

FAST, SLOW = Speed(9e14, 9e14, 9e14), Speed(5e13, 5e13, 5e13)
BROKEN = Unusable("CUDA error: no kernel image is available for execution on the device")


@pytest.fixture
def gpus(monkeypatch) -> Callable[..., dict[str, Finding]]:
    """The findings on GPUs with these speeds of float32, bfloat16 and float16 each."""

    def accelerators(*given: tuple[Speed | Unusable, ...], free: int = 70 << 30) -> dict[str, Finding]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(given))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(given))
        about = SimpleNamespace(name="GPU X", major=9, minor=0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 << 30))
        monkeypatch.setattr(
            env_devices, "speeds", lambda device, dtypes: dict(zip(dtypes, given[device.index], strict=True))
        )
        return named(env_devices.accelerators())

    return accelerators


def test_gpus_and_what_they_compute(gpus):
    found = gpus((SLOW, FAST, FAST), (SLOW, FAST, FAST))
    assert found["cuda:0"].value == "GPU X, compute capability 9.0"
    assert found["cuda:0"].note == "--device auto runs on it."
    assert found["cuda:0 memory"].value == "70.0 GiB free of 80.0 GiB"
    assert "28.2B weights" in found["cuda:0 memory"].note
    assert found["cuda:0 float32"].value == "50,000 / 50,000 / 50,000 GFLOP/s"
    assert found["cuda:0 bfloat16"].note.startswith("18 times as fast")
    assert "CUDA_VISIBLE_DEVICES=1" in found["cuda:1"].note


def test_a_gpu_without_bfloat16(gpus):
    found = gpus((FAST, BROKEN, FAST))
    assert (found["cuda:0"].state, found["cuda:0 bfloat16"].state) == ("ok", "note")


def test_a_gpu_that_this_pytorch_cannot_use(gpus, monkeypatch):
    found = gpus((BROKEN, BROKEN, BROKEN))
    assert found["cuda:0"].state == "problem"
    assert "cannot compute on it" in found["cuda:0"].note
    assert "no kernel image" in found["cuda:0 float32"].note

    def refuse(_: int) -> None:
        raise RuntimeError("CUDA driver initialization failed.\nmore")

    monkeypatch.setattr(torch.cuda, "get_device_properties", refuse)
    (found,) = env_devices.accelerators()
    assert (found.state, found.note) == ("problem", "CUDA driver initialization failed.")


def test_a_gpu_that_others_use(gpus):
    assert gpus((SLOW, FAST, FAST), free=10 << 30)["cuda:0 memory"].state == "note"


def test_an_apple_gpu(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    found = named(env_devices.accelerators())
    assert found["mps"].state == "ok"
    assert found["mps bfloat16"].note.startswith("2.0 times as fast")


@pytest.mark.parametrize(
    ("driver", "built", "visible", "value", "state", "said"),
    [
        (False, None, None, "none", "ok", "processor"),
        (True, None, None, "not usable", "problem", "built for the CPU alone"),
        (True, "13.0", None, "not usable", "problem", "too old"),
        (True, "13.0", "", "hidden", "note", "CUDA_VISIBLE_DEVICES"),
        (False, "13.0", None, "none", "ok", "processor"),
    ],
)
def test_why_there_is_no_gpu(monkeypatch, driver, built, visible, value, state, said):
    monkeypatch.setattr(env_devices.shutil, "which", lambda _: "/usr/bin/nvidia-smi" if driver else None)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (found,) = env_devices.accelerators()
    assert (found.value, found.state) == (value, state)
    assert said in found.note


# --- memory and disk ----------------------------------------------------------------------------------------


def test_memory_and_the_models_that_fit(monkeypatch):
    monkeypatch.setattr(env_places, "container_memory", lambda: (None, 0))
    for free, state, room in ((32 << 30, "ok", "12.6B"), (1 << 30, "note", "167M"), (0, "note", "0M")):
        memory = SimpleNamespace(available=free, total=64 << 30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        (found,) = env_places.memory()
        assert found.state == state
        assert f"about {room} weights" in found.note
    assert found.value == "0 bytes free of 64.0 GiB"


def test_memory_that_a_container_limits(monkeypatch, tmp_path):
    used = tmp_path / "used"
    used.write_text("1000")
    limits = tmp_path / "memory.max", tmp_path / "older"
    monkeypatch.setattr(placement, "_GROUPS", [(limit, used) for limit in limits])
    memory = SimpleNamespace(available=32 << 30, total=64 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    for text, shown_limit in (("max", None), (str(4 << 30), "4.0 GiB"), (str(1 << 62), None)):
        limits[1].write_text(text)
        found = named(env_places.memory()).get("memory limit")
        assert (found.value if found else None) == shown_limit
    limits[0].write_text(str(8 << 30))
    assert "Of the container" in named(env_places.memory())["memory limit"].note
    assert placement.free_memory(torch.device("cpu")) == int(0.9 * ((8 << 30) - 1000))


def test_memory_that_the_system_does_not_tell(monkeypatch):
    def unknown() -> None:
        raise psutil.Error

    monkeypatch.setattr(psutil, "virtual_memory", unknown)
    assert env_places.memory()[0].value == "unknown"


def test_room_on_the_disk(monkeypatch):
    monkeypatch.setattr(env_places.shutil, "disk_usage", lambda _: SimpleNamespace(free=200 << 30))
    found = named(env_places.places())
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "107.4B weights" in found["working folder"].note
    assert found["Hub cache"].value.endswith("200.0 GiB free")
    assert "as SPIN_HUB_CACHE says" in found["spin-hub cache"].note
    monkeypatch.setattr(env_places.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    found = named(env_places.places())
    assert (found["working folder"].state, found["Hub cache"].state) == ("problem", "note")
    assert "Deltas" in found["working folder"].note


def test_disks_that_do_not_answer(monkeypatch):
    def unknown(_: object) -> None:
        raise OSError

    monkeypatch.setattr(env_places.shutil, "disk_usage", unknown)
    assert all("free space unknown" in finding.value for finding in env_places.places())


def test_folders_that_cannot_be_written(monkeypatch, tmp_path):
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(env_places.tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(env_places.os, "access", lambda *_: False)
    found = named(env_places.places())
    assert {finding.state for finding in found.values()} == {"problem"}
    assert "Permission denied" in found["working folder"].note
    assert "HF_HOME" in found["Hub cache"].note


def test_folders_that_are_none(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    monkeypatch.setenv("SPIN_HUB_CACHE", "/" + "a" * 5000)
    found = named(env_places.places())
    assert "is not a folder" in found["Hub cache"].note
    assert (found["spin-hub cache"].state, len(found["spin-hub cache"].value) < 200) == ("problem", True)

    def removed() -> None:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", removed)
    assert named(env_places.places())["working folder"].value == "missing"


# --- the Hub ------------------------------------------------------------------------------------------------


@pytest.fixture
def local(online, monkeypatch):
    """A Hub, and a function that gives the findings for a token of it."""
    from huggingface_hub import close_session

    with LocalHub() as running:
        running.add_user("alice", "hf_AliceWrites", orgs=["acme"])
        running.add_user("alice", "hf_AliceReads", "read")
        scopes = {"alice/one": ("repo.write",), "acme": ("repo.write",), "datasets/alice/data": ("repo.write",)}
        running.add_user("alice", "hf_AliceNarrow", "fineGrained", scopes=scopes)
        running.add_user("alice", "hf_AliceNothing", "fineGrained")
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setenv("HF_ENDPOINT", running.url)

        def findings(token: str | None) -> dict[str, Finding]:
            monkeypatch.setattr(hub_token, "get_token", lambda: token)
            monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
            monkeypatch.setattr("huggingface_hub.hf_api.get_token", lambda: token)
            found = named(env_hub.hub())
            assert not token or token not in str(found)
            return found

        yield SimpleNamespace(hub=running, findings=findings)
    close_session()


@pytest.mark.parametrize(
    ("token", "value", "state", "said"),
    [
        ("hf_AliceWrites", "write of alice", "ok", "may push"),
        ("hf_AliceReads", "read of alice", "note", "needs a token that may write"),
        ("hf_AliceNarrow", "fine-grained of alice", "ok", "push to: acme, alice/one."),
        ("hf_AliceNothing", "fine-grained of alice", "note", "no writing"),
        ("hf_Unknown", "refused", "problem", "does not accept"),
    ],
)
def test_what_the_token_allows(local, token, value, state, said):
    found = local.findings(token)
    assert (found["token"].value, found["token"].state) == ("present", "ok")
    role = found["token role"]
    assert (role.value, role.state) == (value, state)
    assert said in role.note
    assert found["endpoint"].state == "note"


def test_no_token(local):
    found = local.findings(None)
    assert (found["token"].value, found["token"].state) == ("absent", "note")
    assert "token role" not in found
    assert not local.hub.traffic


def test_a_hub_with_faults(local):
    local.hub.fail(Fault("whoami", status=503, times=None))
    assert "it answered 503" in local.findings("hf_AliceWrites")["token role"].note
    local.hub.heal()
    local.hub.fail(Fault("whoami", times=None, cut_after=0, reset=True))
    role = local.findings("hf_AliceWrites")["token role"]
    assert (role.value, role.state) == ("unknown", "note")


def test_an_endpoint_where_nobody_is(local):
    local.hub.close()
    role = local.findings("hf_AliceWrites")["token role"]
    assert (role.value, role.state) == ("unknown", "note")
    assert "gave no answer" in role.note


def test_offline_the_hub_is_not_asked(local, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = local.findings("hf_AliceWrites")
    assert found["token"].value == "present"
    assert "was not asked: offline mode is on" in found["token role"].note
    assert "Unset it to go online" in found["HF_HUB_OFFLINE"].note
    assert not local.hub.traffic


@pytest.mark.parametrize("body", ["<html>Log in", "[]", '{"name": 1, "orgs": [1]}', "{}"])
def test_answers_that_are_not_a_hub_s(local, body):
    local.hub.fail(Fault("whoami", status=200, body=body, times=None))
    role = local.findings("hf_AliceWrites")["token role"]
    assert role.value == "unknown"
    assert "not a Hub's answer" in role.note


def test_it_never_waits_for_long(online, monkeypatch):
    waiting = threading.Event()

    def silent(**_: object) -> None:
        waiting.wait()

    try:
        monkeypatch.setattr(hub_token, "account", silent)
        monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
        monkeypatch.setattr(hub_token, "get_token", lambda: "hf_x")
        state = hub_token.token(seconds=0.2)
        assert (state.present, state.why) == (True, "there was no answer within 0.2 s")
        monkeypatch.setattr(hub_token, "get_token", silent)
        assert hub_token.token(seconds=0.05).present is None
    finally:
        waiting.set()


@pytest.mark.parametrize("token", ["hf_abc\u2026", "hf_a\u200bb", "hf_a b", "hf_\x00"])
def test_characters_that_no_token_has(local, token):
    found = local.findings(token)
    assert found["token"].state == "problem"
    assert "token role" not in found
    assert not local.hub.traffic


@pytest.mark.parametrize(
    ("error", "value", "state"),
    [
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "present", "problem"),
        (PermissionError(13, "no"), "unknown", "note"),
    ],
)
def test_a_token_file_that_cannot_be_read(online, monkeypatch, error, value, state):
    def unreadable() -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.get_token", unreadable)
    found = named(env_hub.hub())
    assert (found["token"].value, found["token"].state) == (value, state)
    assert "token role" not in found


def test_where_the_token_comes_from(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_AliceWrites")
    assert env_hub.hub()[1].note.startswith("From HF_TOKEN, which comes before hf auth login")
    assert env_hub._token(TokenState(True, "hf auth login")).note.startswith("From hf auth login")


def test_an_address_of_mail_is_not_shown():
    found = env_hub._allowed(Account("me@example.org", role="fineGrained", scopes=frozenset({"me@example.org"})))
    assert "example.org" not in str(found)


@pytest.mark.parametrize(
    ("where", "value", "state", "said"),
    [
        ("https://huggingface.co", "https://huggingface.co", "ok", "Hugging Face"),
        ("https://me:pw@mirror.example/hf", "https://mirror.example/hf", "note", "not to huggingface.co"),
        ("http://localhost:8000", "http://localhost:8000", "note", "HF_ENDPOINT"),
        ("http://mirror.example", "http://mirror.example", "problem", "unencrypted"),
        ("", "not an address", "problem", "unset HF_ENDPOINT"),
        ("ftp://mirror.example", "not an address", "problem", "unset HF_ENDPOINT"),
        ("https://mirror.example:99999", "not an address", "problem", "unset HF_ENDPOINT"),
    ],
)
def test_endpoints(monkeypatch, where, value, state, said):
    monkeypatch.setenv("HF_ENDPOINT", where)
    found = env_hub.hub()[0]
    assert (found.value, found.state) == (value, state)
    assert said in found.note


@pytest.mark.parametrize(
    ("settings", "offline", "name", "state", "said"),
    [
        ({}, False, "offline", "ok", "the Hub is asked"),
        ({"HF_HUB_OFFLINE": "yes"}, True, "HF_HUB_OFFLINE", "note", "a push fails"),
        ({"HF_HUB_OFFLINE": "maybe"}, False, "HF_HUB_OFFLINE", "note", "Counts as off"),
        ({"HF_HUB_OFFLINE": "0"}, False, "HF_HUB_OFFLINE", "ok", "is asked"),
        ({"TRANSFORMERS_OFFLINE": "1"}, True, "TRANSFORMERS_OFFLINE", "note", "a push fails"),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, False, "TRANSFORMERS_OFFLINE", "ok", "decides"),
        ({"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "0"}, True, "TRANSFORMERS_OFFLINE", "ok", "decides"),
        ({"HF_DATASETS_OFFLINE": "1"}, False, "HF_DATASETS_OFFLINE", "note", "cache alone"),
        ({"HF_DATASETS_OFFLINE": ""}, False, "HF_DATASETS_OFFLINE", "ok", "may be downloaded"),
    ],
)
def test_offline_switches(monkeypatch, settings, offline, name, state, said):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    found = named(env_hub.hub())[name]
    assert found.state == state
    assert said in found.note


@pytest.mark.parametrize(
    ("name", "value", "shown_value", "state", "said"),
    [
        ("HTTPS_PROXY", "http://me:pw@proxy.example:3128/x?y", "proxy.example:3128", "ok", "those to the Hub"),
        ("https_proxy", "proxy.example:3128", "proxy.example:3128", "ok", "go through it"),
        ("HTTP_PROXY", "me:pw@proxy.example", "proxy.example", "ok", "by http"),
        ("ALL_PROXY", "http://[::1]:3128", "[::1]:3128", "ok", "no other variable"),
        ("ALL_PROXY", "socks://proxy.example:9", "proxy.example:9", "problem", "not supported"),
        ("ALL_PROXY", "socks5://me:pw@proxy.example:9", "proxy.example:9", "problem", "socksio"),
        ("HTTPS_PROXY", "http://[::1", "not an address", "problem", "Correct or unset HTTPS_PROXY"),
        ("HTTPS_PROXY", "http://proxy.example:99999", "not an address", "problem", "Correct or unset"),
        ("HTTPS_PROXY", "http://\x1b[31m", "not an address", "problem", "Correct or unset"),
    ],
)
def test_proxies(monkeypatch, name, value, shown_value, state, said):
    monkeypatch.setattr(settings, "find_spec", lambda _: None)
    monkeypatch.setenv(name, value)
    found = named(env_hub.hub())
    assert "proxy" not in found
    assert (found[name.upper()].value, found[name.upper()].state) == (shown_value, state)
    assert said in found[name.upper()].note


def test_no_proxy_and_exceptions(monkeypatch):
    assert named(env_hub.hub())["proxy"].value == "none"
    monkeypatch.setenv("NO_PROXY", "localhost, me:pw@intern.example,")
    assert named(env_hub.hub())["NO_PROXY"].value == "localhost, intern.example"
    monkeypatch.setattr(settings, "find_spec", lambda _: object())
    monkeypatch.setenv("ALL_PROXY", "socks5h://proxy.example:9")
    assert named(env_hub.hub())["ALL_PROXY"].state == "ok"


def test_xet_switched_off(monkeypatch):
    assert "HF_HUB_DISABLE_XET" not in named(env_hub.hub())
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    assert named(env_hub.hub())["HF_HUB_DISABLE_XET"].state == "note"


def test_own_variables(monkeypatch):
    monkeypatch.setenv("SPIN_HUB_CACH", "typo")
    found = named(env_hub.variables())
    assert {name: finding.state for name, finding in found.items()} == {
        "SPIN_HUB_CACH": "note",
        "SPIN_HUB_CACHE": "ok",
        "SPIN_HUB_SPEEDS": "ok",
    }
    for name in found:
        monkeypatch.delenv(name)
    assert env_hub.variables()[0].value == "none set"


# --- values -------------------------------------------------------------------------------------------------


def test_values_from_outside():
    assert shown("a" * 200) == "a" * 100 + "... (200 characters)"
    assert shown("at https://me:pw@host/x with hf_abcdefgh") == "at https://host/x with hf_..."
    assert shown_path(Path.home()) == "~"
    assert shown_path(Path.home() / "x") == str(Path("~") / "x")
    assert weights_in(15.2e9) == "7.6B"
    assert weights_in(-5) == "0M"
    assert address("https://Host.example:443/a/?q#f").path == "/a"
    assert address("http://a b") is None
    assert Report({"x": (Finding("a", "1", "note"), Finding("b", "2"))}).count("note") == 1
