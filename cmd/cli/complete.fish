# fish completion for NAME: the program itself tells the words. Where it has none, fish completes files.
function __FUNCTION_words
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($before[1] completion fish -- $before[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        string join \n -- $found
    else
        __fish_complete_path "$current"
    end
end
complete -c NAME -f -a '(__FUNCTION_words)'
