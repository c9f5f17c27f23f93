#!/usr/bin/env python3
"""Runs tests/system/test_*.py against a build, two files at a time; prints "ok"/"not ok" per test."""
import argparse
import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest


class Lines(unittest.TestResult):
    def addSuccess(self, test):
        print("ok", test.id(), flush=True)

    def _bad(self, test, error):
        print("not ok", test.id(), flush=True)
        for line in self._exc_info_to_string(error, test).splitlines():
            print("#  ", line, flush=True)

    def addError(self, test, err):
        self._bad(test, err)

    def addFailure(self, test, err):
        self._bad(test, err)

    def addSkip(self, test, reason):
        print("not ok", test.id(), "# skipped:", reason, flush=True)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._bad(subtest, err)


def run_one(path, only):
    sys.path.insert(0, os.path.dirname(path))
    module = __import__(os.path.basename(path)[:-3])
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if only:
        suite = unittest.TestSuite(t for s in suite for t in s if only in t.id())
    suite.run(Lines())


def sanitized(path, only):
    """run_one(), and what a sanitizer reports of any program that it starts is a failure: programs that are killed, and
    those whose exit nobody looks at, would report to a log that nobody reads."""
    folder = tempfile.mkdtemp(prefix="godwit-reports-")
    os.chmod(folder, 0o1777)  # programs of several users write there
    suppressions = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tsan.supp")
    for sanitizer, more in (("ASAN", ()), ("UBSAN", ()), ("TSAN", ("suppressions=" + suppressions,))):
        given = os.environ.get(sanitizer + "_OPTIONS", "")
        os.environ[sanitizer + "_OPTIONS"] = ":".join(
            w for w in (given, f"log_path={folder}/{sanitizer.lower()}", "log_exe_name=1", *more) if w)
    try:
        run_one(path, only)
        for name in sorted(os.listdir(folder)):
            print("not ok", os.path.basename(path), "# a report of", name, flush=True)
            with open(os.path.join(folder, name), errors="replace") as f:
                print("".join("#   " + line for line in f.readlines()[:200]), end="", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--file")
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    os.environ["GODWIT_BUILD"] = os.path.abspath(arguments.build)
    with_sanitizer = os.path.basename(os.path.abspath(arguments.build)) in ("asan", "tsan")
    if with_sanitizer:
        os.environ.setdefault("GODWIT_SLOW", "5")
    if arguments.file:
        (sanitized if with_sanitizer else run_one)(os.path.join(here, arguments.file), arguments.only)
        return
    files = sorted(glob.glob(os.path.join(here, "test_*.py")))

    def one(path):
        done = subprocess.run([sys.executable, __file__, "--build", arguments.build, "--file",
                               os.path.basename(path), "--only", arguments.only],
                              capture_output=True, text=True, timeout=1200)
        text = done.stdout
        if done.returncode != 0:
            text += f"not ok {os.path.basename(path)} # the file itself failed\n" + "".join(
                "#   " + line + "\n" for line in done.stderr.splitlines()[-30:])
        return text

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for text in pool.map(one, files):
            print(text, end="", flush=True)


main()
