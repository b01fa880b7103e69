#!/usr/bin/env bash
# Shell completions: bash's function completes commands, options and words; zsh's and fish's scripts are taken by their shells.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
for shell in bash zsh fish; do "$CFBENCH" --completion $shell >"$T/$shell" || not_ok "completion: $shell" "not written"; done
# completes WANTED WORD...: what bash offers for the last word
completes() {
    local want=$1 got
    shift
    got=$(bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _cfbench; echo "${COMPREPLY[*]}"' _ "$T/bash" "$@")
    if [ "$got" = "$want" ]; then ok "completion: $*"; else not_ok "completion: $*" "'$got', not '$want'"; fi
}
check "completion: bash takes it" bash -n "$T/bash"
completes tune cfbench tu
completes --embed-model cfbench tune --embed-m
completes "zero few" cfbench generate --shot ""
completes high_throughput cfbench generate --preset hi
for shell in zsh fish; do
    if command -v $shell >/dev/null; then check "completion: $shell takes it" $shell -n "$T/$shell"
    else skip "completion: $shell takes it" "$shell is not installed"; fi
done
if command -v zsh >/dev/null; then
    mkdir "$T/functions" && cp "$T/zsh" "$T/functions/_cfbench"
    check "completion: zsh finds it" zsh -fc 'fpath=($1 $fpath); autoload -Uz compinit; compinit -u -D; [[ $_comps[cfbench] = _cfbench ]]' _ "$T/functions"
fi
if command -v fish >/dev/null; then
    offered() { # fish's offers for a line, without their descriptions
        fish --no-config -c "source '$T/fish'; complete -C '$1'" | cut -f1 | tr '\n' ' '
    }
    check "completion: fish: a command" test "$(offered 'cfbench tu')" = "tune "
    check "completion: fish: an option" test "$(offered 'cfbench tune --embed-m')" = "--embed-model "
    check "completion: fish: words" test "$(offered 'cfbench generate --shot ')" = "few zero "
fi
exit $bad
