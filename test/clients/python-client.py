"""Runs an unmodified Python client many times in one process: a JSON list of arguments per line in, the outcome out."""

import contextlib
import importlib
import io
import json
import os
import sys

main = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
answers = os.fdopen(os.dup(1), "w")

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(json.loads(line))
        except SystemExit as end:
            code = end.code
        except Exception as error:  # What a shell would show as a traceback.
            err.write(f"{type(error).__name__}: {error}\n")
            code = 1
    answers.write(json.dumps({"code": code or 0, "stdout": out.getvalue(), "stderr": err.getvalue()}) + "\n")
    answers.flush()
