"""The scripts by which bash, zsh and fish complete msrtui's command line, from what ``completing`` says there is.

Each script holds all words, so that Tab starts no program. Texts go into single quotes: none is taken for code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msrtui.cli.completing import Command, Kind, Slot


def _quoted(text: str) -> str:
    """For bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def _words(texts: Iterable[str]) -> str:
    return _quoted(" ".join(texts))


# --- bash --------------------------------------------------------------------------------------------------------
_BASH = """\
# bash completion of msrtui; made by: msrtui completion bash
_msrtui_words() {
  case $1 in
%(kinds)s
  esac
}

_msrtui() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= kind= words= options= at=1 place=1
  COMPREPLY=()
  # --option=value is three words to bash
  if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
  if (( COMP_CWORD > 1 )); then
    case ${COMP_WORDS[1]} in
      %(commands)s) command=${COMP_WORDS[1]}; at=2 ;;
    esac
  fi
  if [[ $before == -* ]]; then
    case "$command $before" in
%(valued)s
    esac
  fi
  if [[ -z $kind && $word == -* ]]; then
    case $command in
%(options)s
    esac
    COMPREPLY=($(compgen -W "$options" -- "$word"))
    return
  fi
  if [[ -z $kind ]]; then
    # which argument this is: what stands before it, without options and their values
    for (( ; at < COMP_CWORD; at++ )); do
      case "$command ${COMP_WORDS[at]}" in
%(skipped)s
        *' '-?*) ;;
        *) (( place++ )) ;;
      esac
    done
    case "$command $place" in
%(places)s
    esac
    (( COMP_CWORD == 1 )) && words=%(all)s
  fi
  case $kind in
    =*) words=${kind#=} ;;
    msr*) word=${word^^} ;;&
    ?*) words+=" $(_msrtui_words "$kind")" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case $kind in
    %(files)s) compopt -o filenames; COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")) ;;
    %(hosts)s) COMPREPLY+=($(compgen -A hostname -- "$word")) ;;
  esac
}
complete -F _msrtui msrtui
"""


def bash(commands: Sequence[Command], kinds: Mapping[str, Kind]) -> str:
    """The script for bash 4.2 or later."""
    names = [command.name for command in commands if command.name]
    options = [f"{_quoted(each.name)}) options={_words(_option_names(each))} ;;" for each in commands]
    return _BASH % {
        "kinds": _rows(4, (f"{name}) echo {_words(kind.words)} ;;" for name, kind in kinds.items() if kind.words)),
        "commands": "|".join(names),
        "valued": _rows(6, _cases(commands, lambda kind: f"kind={_quoted(kind)}")),
        "options": _rows(6, options),
        "skipped": _rows(8, _cases(commands, lambda _: "(( at++ )); [[ ${COMP_WORDS[at]} == = ]] && (( at++ ))")),
        "places": _rows(6, _places(commands)),
        "all": _words(names),
        "files": "|".join(name for name, kind in kinds.items() if kind.files),
        "hosts": "|".join(name for name, kind in kinds.items() if kind.hosts),
    }


def _rows(indent: int, rows: Iterable[str]) -> str:
    return "\n".join(" " * indent + row for row in rows)


def _option_names(command: Command) -> Iterator[str]:
    for slot in command.options:
        yield from slot.names


def _kind(slot: Slot) -> str:
    """The name of a kind, or the words themselves behind a ``=``."""
    return "=" + " ".join(slot.choices) if slot.choices else slot.kind or ""


def _cases(commands: Sequence[Command], effect: Callable[[str], str]) -> Iterator[str]:
    """One case of ``command option`` for each kind of value."""
    patterns: dict[str, list[str]] = {}
    for command in commands:
        for slot in command.options:
            if slot.kind is not None:
                patterns.setdefault(effect(_kind(slot)), []).extend(f"{command.name} {name}" for name in slot.names)
    for done, matched in patterns.items():
        yield f"{'|'.join(map(_quoted, matched))}) {done} ;;"


def _places(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        for place, slot in enumerate(command.arguments, 1):
            pattern = f"{_quoted(command.name + ' ')}*" if slot.many else _quoted(f"{command.name} {place}")
            yield f"{pattern}) kind={_quoted(_kind(slot))} ;;"


# --- zsh ---------------------------------------------------------------------------------------------------------
_ZSH = """\
#compdef msrtui
# zsh completion of msrtui; made by: msrtui completion zsh
%(kinds)s

_msrtui() {
  local command=
  if (( CURRENT > 2 )); then
    case $words[2] in
      %(commands)s) command=$words[2]; shift words; (( CURRENT-- )) ;;
    esac
  fi
  case $command in
%(arguments)s
  esac
}

if [[ $funcstack[1] == _msrtui ]]; then _msrtui "$@"; else compdef _msrtui msrtui; fi
"""


def zsh(commands: Sequence[Command], kinds: Mapping[str, Kind]) -> str:
    """The script for zsh 5: a file called ``_msrtui`` in the function path, or read by ``.zshrc`` after compinit."""
    names = [command.name for command in commands if command.name]
    told = " ".join(_quoted(f"{command.name}:{command.summary}") for command in commands if command.name)
    functions = [_zsh_kind(name, kind) for name, kind in kinds.items()]
    functions.append(f"_msrtui_first() {{ local all=({told}); _describe command all; _msrtui_source }}")
    return _ZSH % {
        "kinds": "\n".join(functions),
        "commands": "|".join(names),
        "arguments": "\n".join(f"    {_quoted(each.name)}) _arguments -S {_zsh_specs(each)} ;;" for each in commands),
    }


def _zsh_kind(name: str, kind: Kind) -> str:
    parts = []
    if kind.words:
        case = "-M 'm:{a-z}={A-Z}' " if name.startswith("msr") else ""
        parts.append(f"compadd {case}-- {' '.join(map(_quoted, kind.words))}")
    parts += ["_files"] * kind.files + ["_hosts"] * kind.hosts
    return f"_msrtui_{name}() {{ {'; '.join(parts) or '_message value'} }}"


def _zsh_specs(command: Command) -> str:
    specs: list[str] = []
    for slot in command.options:
        value = "" if slot.kind is None else f":{_zsh_plain(slot.shown)}:{_zsh_action(slot)}"
        for name in slot.names:
            equals = "" if slot.kind is None else "=" if name.startswith("--") else "+"
            others = f"({' '.join(slot.names)})" if len(slot.names) > 1 else ""
            specs.append(f"{others}{name}{equals}[{_zsh_plain(slot.help)}]{value}")
    for place, slot in enumerate(command.arguments, 1):
        where = "*" if slot.many else str(place)
        if not command.name:
            specs.append(f"1:{_zsh_plain(slot.shown)}:_msrtui_first")
        specs.append(f"{where}:{_zsh_plain(slot.shown)}:{_zsh_action(slot)}")
    return " ".join(map(_quoted, specs))


def _zsh_action(slot: Slot) -> str:
    return f"({' '.join(slot.choices)})" if slot.choices else f"_msrtui_{slot.kind}"


def _zsh_plain(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "[]:\\" else letter for letter in text)


# --- fish --------------------------------------------------------------------------------------------------------
_FISH = """\
# fish completion of msrtui; made by: msrtui completion fish
set -g __msrtui_commands %(commands)s
set -g __msrtui_valued %(valued)s
function __msrtui_words
    switch $argv[1]
%(kinds)s
    end
end
# the command that is typed; the app's is empty
function __msrtui_command
    set -l typed (commandline -opc)
    if test (count $typed) -gt 1; and contains -- $typed[2] $__msrtui_commands
        echo $typed[2]
    else
        echo
    end
end
function __msrtui_in
    test (__msrtui_command) = "$argv[1]"
end
# whether this is the argument of that number, or a later one
function __msrtui_at
    __msrtui_in $argv[1]; or return 1
    set -l typed (commandline -opc)[2..-1]
    test -n "$argv[1]"; and set -e typed[1]
    set -l place 1
    set -l skip 0
    for word in $typed
        if test $skip = 1
            set skip 0
        else if contains -- "$argv[1] $word" $__msrtui_valued
            set skip 1
        else if not string match -q -- '-?*' $word
            set place (math $place + 1)
        end
    end
    test $place $argv[2] $argv[3]
end
complete -c msrtui -f
%(rows)s
"""


def fish(commands: Sequence[Command], kinds: Mapping[str, Kind]) -> str:
    """The script for fish 3."""
    names = [command.name for command in commands if command.name]
    valued = [f"{each.name} {name}" for each in commands for slot in each.options if slot.kind for name in slot.names]
    cases = (
        f"        case {name}; printf '%s\\n' {' '.join(map(_fish_quoted, kind.words))}"
        for name, kind in kinds.items()
        if kind.words
    )
    return _FISH % {
        "commands": " ".join(names),
        "valued": " ".join(map(_fish_quoted, valued)),
        "kinds": "\n".join(cases),
        "rows": "\n".join(_fish_rows(commands, kinds)),
    }


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_rows(commands: Sequence[Command], kinds: Mapping[str, Kind]) -> Iterator[str]:
    for command in commands:
        if command.name:
            first = _fish_quoted("__msrtui_at '' -eq 1")
            yield f"complete -c msrtui -n {first} -a {command.name} -d {_fish_quoted(command.summary)}"
        inside = _fish_quoted(f"__msrtui_in '{command.name}'")
        for slot in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in slot.names)
            value = "" if slot.kind is None else f" -x{_fish_value(slot, kinds)}"
            yield f"complete -c msrtui -n {inside} {names}{value} -d {_fish_quoted(slot.help)}"
        for place, slot in enumerate(command.arguments, 1):
            here = _fish_quoted(f"__msrtui_at '{command.name}' {'-ge' if slot.many else '-eq'} {place}")
            if slot.kind is not None and _fish_value(slot, kinds):
                yield f"complete -c msrtui -n {here}{_fish_value(slot, kinds)}"


def _fish_value(slot: Slot, kinds: Mapping[str, Kind]) -> str:
    if slot.choices:
        return f" -a {_fish_quoted(' '.join(slot.choices))}"
    kind = kinds[slot.kind or ""]
    sources = [f"(__msrtui_words {slot.kind})"] if kind.words else []
    sources += ["(__fish_complete_path)"] * kind.files + ["(__fish_print_hostnames)"] * kind.hosts
    return f" -a {_fish_quoted(' '.join(sources))}" if sources else ""


SHELLS: Mapping[str, Callable[[Sequence[Command], Mapping[str, Kind]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""The shells that there is a script for."""
