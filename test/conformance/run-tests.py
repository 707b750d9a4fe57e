"""Runs installed Python test cases as they are: a folder, its import root, which part, and two patterns in; JSON lines out."""

import json
import os
import re
import sys
import traceback
import unittest

answers = os.fdopen(os.dup(1), "w")
sys.stdout = sys.stderr


def tell(**fact):
    answers.write(json.dumps(fact) + "\n")
    answers.flush()


class Reporter(unittest.TestResult):
    def addSuccess(self, test):
        tell(id=test.id(), outcome="passed")

    def addSkip(self, test, reason):
        tell(id=test.id(), outcome="skipped", detail=str(reason))

    def addFailure(self, test, err):
        tell(id=test.id(), outcome="failed", detail="".join(traceback.format_exception(*err)))

    addError = addFailure


def cases(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item)
        else:
            yield item


folder, root, part, parts = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
wanted, left_out = re.compile(sys.argv[5]), re.compile(sys.argv[6])
found = [
    case
    for case in cases(unittest.TestLoader().discover(folder, top_level_dir=root))
    if wanted.search(case.id()) and not left_out.search(case.id())
]
# Whole classes go to one process: what a class sets up is set up once.
classes = sorted({unittest.util.strclass(case.__class__) for case in found})
mine = {name for i, name in enumerate(classes) if i % parts == part}
own = [case for case in found if unittest.util.strclass(case.__class__) in mine]
tell(outcome="found", count=len(own))
unittest.TestSuite(own).run(Reporter())
