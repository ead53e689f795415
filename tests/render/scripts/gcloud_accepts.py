"""Asks the real gcloud's own parser and printer, offline, about what the scripts under test did.

usage: gcloud_accepts.py SDK calls FILE       each line an array of arguments: which of them does gcloud's parser refuse?
       gcloud_accepts.py SDK grammar FILE     each line a command in the notation of the simulator's gcloud: does gcloud have it?
       gcloud_accepts.py SDK formats FILE     each line {things, flatten, format, printed}: does gcloud print the same?

Needs the Python that comes with the SDK. Prints each line that is refused, and exits with 1 if there is one.
"""

import atexit
import contextlib
import io
import json
import os
import sys
import tempfile

SDK, WHAT, FILE = sys.argv[1:]
sys.path[:0] = [os.path.join(SDK, "lib"), os.path.join(SDK, "lib", "third_party")]

from googlecloudsdk import gcloud_main  # noqa: E402
from googlecloudsdk.calliope import display_taps  # noqa: E402
from googlecloudsdk.core.resource import resource_lex, resource_printer  # noqa: E402
from googlecloudsdk.core.util import peek_iterable  # noqa: E402


def existing(argument):
    """A flag whose temporary file is gone gets another one: the parser opens files before it judges the flags after them."""
    flag, _, path = argument.partition("=")
    if not (flag.startswith("--") and path.startswith("/") and not os.path.exists(path)):
        return argument
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        file.write("- ingressFrom: {identityType: ANY_IDENTITY}\n  ingressTo: {resources: ['*']}\n")
    atexit.register(os.remove, file.name)
    return f"{flag}={file.name}"


def refusal(top, arguments):
    node, rest = top, list(arguments)
    while rest and node.is_group:
        below = node.LoadSubElement(rest[0])
        if below is None:
            return f"there is no command {rest[0]!r}"
        node = below
        rest.pop(0)
    if node.is_group:
        return "this is a group of commands"
    try:
        node._parser.parse_args([existing(argument) for argument in rest], raise_error=True)
    except SystemExit as error:
        return f"exit {error.code}"
    except Exception as error:  # every refusal has a class of its own
        return f"{type(error).__name__}: {error}"
    return None


def lacking(top, line):
    """What gcloud does not have of a command with its flags."""
    node, tokens = top, line.split(" ")
    while tokens and node.is_group:
        below = node.LoadSubElement(tokens[0])
        if below is None:
            return f"there is no command {tokens[0]!r}"
        node = below
        tokens.pop(0)
    if node.is_group:
        return "this is a group of commands"
    actions = {option: action for action in node._parser._actions for option in action.option_strings}
    for flag in (token.rstrip("!") for token in tokens if token.startswith("--")):
        name, _, value = flag.partition("=")
        names = [name.replace("[no-]", "")] + ([name.replace("[no-]", "no-")] if "[no-]" in name else [])
        for name in names:
            if name not in actions:
                return f"there is no {name}"
            takes = actions[name].nargs != 0
            if takes != ("=" in flag):
                return f"{name} takes {'a value' if takes else 'none'}"
    positional = [action for action in node._parser._actions if not action.option_strings]
    given = [token for token in tokens if not token.startswith("--")]
    if len(given) > len(positional):
        return f"it has {len(positional)} positional arguments"
    return None


def printed(line):
    things, out = line["things"], io.StringIO()
    for key in flat(line["flatten"] or ""):
        tap = display_taps.Flattener(resource_lex.Lexer(key).Key())
        things = list(peek_iterable.Tapper(things, tap))
    resource_printer.Print(things, line["format"], out=out)
    return out.getvalue()


def flat(text):
    """"a[].b" flattens a and then a.b."""
    parts = [part for part in text.split("[]") if part.strip(".")]
    return ["".join(parts[: index + 1]) for index in range(len(parts))]


bad = 0
with open(FILE, encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
top = gcloud_main.CreateCLI([])._TopElement() if WHAT != "formats" else None
if WHAT == "grammar":
    for line in lines:
        with contextlib.redirect_stderr(io.StringIO()):
            error = lacking(top, line)
        if error:
            bad += 1
            print(json.dumps({"command": line, "error": error}))
elif WHAT == "calls":
    seen = set()
    for arguments in lines:
        if tuple(arguments) in seen:
            continue
        seen.add(tuple(arguments))
        with contextlib.redirect_stderr(io.StringIO()):
            error = refusal(top, arguments)
        if error:
            bad += 1
            print(json.dumps({"arguments": arguments, "error": error}))
else:
    for line in lines:
        real = printed(line)
        # What the shell's $(…) takes off the end does not matter, nor whether nothing is a line without fields.
        ours = line["printed"]
        if real.rstrip("\n") != ours.rstrip("\n") and (real.strip() or ours.strip()):
            bad += 1
            print(json.dumps({"format": line["format"], "ours": line["printed"], "gcloud": real}))
sys.exit(1 if bad else 0)
