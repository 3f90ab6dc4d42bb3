import subprocess
import sys
from pathlib import Path

import pytest

import firstsight
from export.contract.errors import ConfigError
from service.processes.cpu import ADDED, CPUINFO, NAME, UnfitCpu, needs, refuse_unfit_cpu

HASWELL = (  # Intel Core i7-4770, as Linux tells it; the first machine of level v3
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush dts acpi mmx "
    "fxsr sse sse2 ss ht tm pbe syscall nx pdpe1gb rdtscp lm constant_tsc arch_perfmon pebs bts "
    "rep_good nopl xtopology nonstop_tsc cpuid aperfmperf pni pclmulqdq dtes64 monitor ds_cpl vmx "
    "smx est tm2 ssse3 sdbg fma cx16 xtpr pdcm pcid sse4_1 sse4_2 x2apic movbe popcnt "
    "tsc_deadline_timer aes xsave avx f16c rdrand lahf_lm abm cpuid_fault invpcid_single pti "
    "tpr_shadow vnmi flexpriority ept vpid ept_ad fsgsbase tsc_adjust bmi1 avx2 smep bmi2 erms "
    "invpcid xsaveopt dtherm ida arat pln pts"
)
V3_ONLY = {"abm", "avx2", "bmi1", "bmi2", "fma", "movbe"}  # Sandy Bridge had avx and xsave already


def cpuinfo(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: some\nflags\t\t: {flags}\nbugs\t\t: none\n\n")
    return path


def without(missing: set[str]) -> str:
    return " ".join(flag for flag in HASWELL.split() if flag not in missing)


@pytest.mark.parametrize("level", ["x86-64", "x86-64-v2", "x86-64-v3"])
def test_a_processor_of_the_level_or_above_is_taken(tmp_path: Path, level: str) -> None:
    refuse_unfit_cpu({NAME: level}, cpuinfo(tmp_path, HASWELL))


def test_one_below_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    older = cpuinfo(tmp_path, without(V3_ONLY))
    refuse_unfit_cpu({NAME: "x86-64-v2"}, older)
    with pytest.raises(UnfitCpu, match="x86-64-v3.* lacks abm avx2 bmi1 bmi2 fma movbe; build"):
        refuse_unfit_cpu({NAME: "x86-64-v3"}, older)


def test_a_level_asks_for_all_below_it(tmp_path: Path) -> None:
    with pytest.raises(UnfitCpu, match="lacks popcnt;"):
        refuse_unfit_cpu({NAME: "x86-64-v3"}, cpuinfo(tmp_path, without({"popcnt"})))
    assert needs("x86-64") < needs("x86-64-v2") < needs("x86-64-v3") < needs("x86-64-v4")


def test_another_architecture_is_refused_in_words_of_its_own(tmp_path: Path) -> None:
    arm = tmp_path / "cpuinfo"
    arm.write_text("processor\t: 0\nFeatures\t: fp asimd evtstrm aes\n")
    with pytest.raises(UnfitCpu, match="lacks all of it"):
        refuse_unfit_cpu({NAME: "x86-64-v3"}, arm)


@pytest.mark.parametrize("environ", [{}, {NAME: ""}])
def test_a_build_that_says_nothing_asks_for_nothing(environ: dict[str, str]) -> None:
    refuse_unfit_cpu(environ, Path("/no/such/file"))


def test_what_is_no_level_is_the_builders_mistake() -> None:
    with pytest.raises(ConfigError, match="got 'haswell', expected one of x86-64, x86-64-v2"):
        refuse_unfit_cpu({NAME: "haswell"})


@pytest.mark.parametrize("command", [["serve"], ["bundle", "list"], ["recall", "nothing"]])
def test_a_command_ends_with_3_and_one_line_before_hnswlib_is_there(
    command: list[str], tmp_path: Path
) -> None:
    """Whatever this machine is: its flags are given, by a patch of where they are read."""
    older = cpuinfo(tmp_path, without(V3_ONLY))
    program = (
        "import sys, pathlib, firstsight, service.processes.cpu as cpu\n"
        f"cpu.refuse_unfit_cpu.__defaults__ = ({{'{NAME}': 'x86-64-v3'}}, "
        f"pathlib.Path({str(older)!r}))\n"
        f"code = firstsight.run({command!r})\n"
        "assert 'hnswlib' not in sys.modules\n"
        "sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == firstsight.NOT_SERVING
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("firstsight: hnswlib was built for x86-64-v3, and this")


@pytest.mark.skipif("\nflags" not in CPUINFO.read_text(), reason="no x86-64 machine")
def test_the_flags_of_this_machine_are_found() -> None:
    assert next(iter(ADDED)) == "x86-64"
    refuse_unfit_cpu({NAME: "x86-64"})
