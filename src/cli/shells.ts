// PURE
// Completion scripts: each hands the line to `podwright __complete` and shows what that answers.
import { filesMark } from './completion.ts';

/** The shells that there is a script for. */
export const shells = ['bash', 'zsh', 'fish'] as const;

const bash = `# bash completion of podwright: podwright completion bash
_podwright() {
  local line=\${COMP_LINE:0:COMP_POINT} cur word files=0 prefix=
  local -a words=()
  read -ra words <<< "$line"
  case $line in *[[:space:]]) words+=('') ;; esac
  cur=\${words[\${#words[@]}-1]}
  # readline takes what follows the last of these for the word
  case $cur in *[:=]*) prefix=\${cur%"\${cur##*[:=]}"} ;; esac
  COMPREPLY=()
  while IFS=$'\\t' read -r word _; do
    if [ "$word" = ${filesMark} ]; then files=1; else COMPREPLY+=("\${word#"$prefix"}"); fi
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2> /dev/null)
  if [ $files = 1 ]; then
    compopt -o filenames 2> /dev/null
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${cur#"$prefix"}")
  fi
}
complete -F _podwright podwright
`;

const zsh = `#compdef podwright
# zsh completion of podwright: podwright completion zsh
_podwright() {
  local line word about files=0
  local -a names
  while IFS=$'\\t' read -r word about; do
    if [[ $word == ${filesMark} ]]; then files=1; else names+=("\${word//:/\\\\:}:$about"); fi
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2> /dev/null)
  (( \${#names} )) && _describe -t names podwright names
  (( files )) && _files
}
if [[ $funcstack[1] == _podwright ]]; then _podwright "$@"; else compdef _podwright podwright; fi
`;

const fish = `# fish completion of podwright: podwright completion fish
function __podwright_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete -- $words[2..-1] (commandline -ct) 2> /dev/null)
    for line in $found
        if test "$line" = "${filesMark}"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c podwright -f -a '(__podwright_complete)'
`;

/** The script of a shell. */
export const completionScript = (shell: (typeof shells)[number]): string => ({ bash, zsh, fish })[shell];
