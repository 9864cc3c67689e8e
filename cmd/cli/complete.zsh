#compdef NAME
# zsh completion for NAME: the program itself tells the words. Where it has none, zsh completes files.
_FUNCTION() {
    local -a found
    found=("${(@f)$(${(Q)words[1]/#\~/$HOME} completion zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then
        _describe NAME found
    else
        _files
    fi
}
if [[ $funcstack[1] == _FUNCTION ]]; then
    _FUNCTION "$@"
else
    compdef _FUNCTION NAME
fi
