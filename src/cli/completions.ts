/**
 * `vanitypool completions bash | zsh | fish`: prints what makes a shell complete commands, subcommands,
 * options and values of which there are few, all of them from the tables that read the arguments.
 * Everything else, names of pools too, is completed as the names of files.
 *
 * What can come next is looked up by what stands before it, as one line: `pool create pump --handout `. The
 * first pattern that matches counts, and the three shells match the same patterns.
 */
import { POOL_SETTINGS, type SettingsTable } from '../config/pool-settings.ts';
import { readArguments, readVerb } from './arguments.ts';
import { type Options, optionsByCommand, SHELL_OPTIONS } from './command-options.ts';
import { COMMAND_NAMES } from './help.ts';
import type { Outputs } from './output.ts';

type Shell = keyof typeof SHELL_OPTIONS;
const SHELLS = Object.keys(SHELL_OPTIONS) as Shell[];

export async function completions(args: string[], { print }: Outputs): Promise<number> {
  const [shell, rest] = readVerb('completions', args, SHELLS);
  readArguments(rest, { command: `completions ${shell}`, options: SHELL_OPTIONS[shell] });
  await print(completionsFor(shell));
  return 0;
}

export function completionsFor(shell: Shell, table: SettingsTable = POOL_SETTINGS): string {
  const commands = optionsByCommand(table);
  if (shell === 'fish') return fish(commands);
  return shell === 'bash' ? bash(commands) : zsh(commands);
}

type Commands = Readonly<Record<string, Options>>;

const bash = (commands: Commands) => `# For bash:  source <(vanitypool completions bash)
_vanitypool() {
  local IFS=$' \\t\\n' cur=\${COMP_WORDS[COMP_CWORD]} found='' flags=''
  local typed="\${COMP_WORDS[*]:1:COMP_CWORD - 1} "
  # A word of its own, when a value is joined to its option.
  typed=\${typed// = / }
  [[ $cur == '=' ]] && cur=''
  case $typed in
${cases(commands)}
  esac
  [[ $cur == -* ]] && found+=" $flags"
  COMPREPLY=($(compgen -W "$found" -- "$cur"))
}
complete -o bashdefault -o default -F _vanitypool vanitypool
`;

const zsh = (
  commands: Commands,
) => `# For zsh, after compinit:  source <(vanitypool completions zsh)
_vanitypool() {
  local typed="\${(j: :)words[2,CURRENT - 1]} " found='' flags=''
  compset -P '--*=' && typed+="\${IPREFIX%=} "
  case $typed in
${cases(commands)}
  esac
  [[ $PREFIX == -* ]] && found+=" $flags"
  compadd -- \${=found} || _files
}
compdef _vanitypool vanitypool
`;

/** In the language that bash and zsh have in common. */
function cases(commands: Commands): string {
  const lines = wordsAfter(commands).map(([typed, words]) => {
    return `'${typed}') found='${words.join(' ')}' ;;`;
  });
  for (const [command, options] of Object.entries(commands)) {
    for (const [name, { choices }] of Object.entries(options)) {
      if (choices === undefined) continue;
      lines.push(`'${command} '*'--${name} ') found='${choices.join(' ')}' ;;`);
    }
    const flags = [...Object.keys(options), 'help'].map((name) => `--${name}`);
    lines.push(`'${command} '*) flags='${flags.join(' ')}' ;;`);
  }
  return lines.map((line) => `    ${line}`).join('\n');
}

function fish(commands: Commands): string {
  const lines = wordsAfter(commands).map(([typed, words]) => {
    return `complete -c vanitypool -n '__vanitypool_after "${typed}"' -f -a '${words.join(' ')}'`;
  });
  for (const [command, options] of Object.entries(commands)) {
    const start = `complete -c vanitypool -n '__vanitypool_after "${command} *"'`;
    for (const [name, { type, choices }] of Object.entries(options)) {
      const value = choices === undefined ? ' -r' : ` -x -a '${choices.join(' ')}'`;
      lines.push(`${start} -l ${name}${type === 'boolean' ? '' : value}`);
    }
    lines.push(`${start} -l help`);
  }
  return `# For fish:  vanitypool completions fish | source
function __vanitypool_after
    set -l typed (commandline -opc)
    set -e typed[1]
    string match -q -- $argv[1] "$typed "
end
${lines.join('\n')}
`;
}

/** Commands and subcommands, by what is typed before them. */
function wordsAfter(commands: Commands): [typed: string, words: readonly string[]][] {
  const families = new Map<string, string[]>();
  for (const command of Object.keys(commands)) {
    const [family = '', verb] = command.split(' ');
    if (verb !== undefined) families.set(family, [...(families.get(family) ?? []), verb]);
  }
  const verbs = [...families].map(([family, words]): [string, string[]] => [`${family} `, words]);
  return [[' ', [...COMMAND_NAMES, 'help']], ['help ', COMMAND_NAMES], ...verbs];
}
