"""The tests of what only a GPU can show; on a CPU, their rehearsal."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree

import pytest
from step import HOME, Step, main


def work(step: Step) -> None:
    """Run them; each that fails is a failure of its own."""
    if not step.cuda:
        os.environ["GEOMEDSR_TEST_DEVICE"] = "cpu"
    told = step.scratch / "tests.xml"
    tests = HOME / "tests"
    (tests / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    words = [str(tests), "-q", "-ra", "--import-mode=importlib", "-p", "no:cacheprovider", f"--junitxml={told}"]
    pytest.main([*words, "--durations=5", f"--basetemp={step.scratch / 'tests'}", *step.settings["tests"]])
    suite = ElementTree.parse(told).getroot().find("testsuite")
    assert suite is not None
    count = {kind: int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")}
    passed = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    step.figure("tests passed", passed, f"of {count['tests']}", f"{count['skipped']} left out")
    for case in suite.iter("testcase"):
        for wrong in (*case.findall("failure"), *case.findall("error")):
            step.failures.append({"part": str(case.get("name")), "traceback": (wrong.text or "")[-4000:]})


main(work)
