// PURE
// The command line as a value: verbs, arguments and options. What completion and the manual pages are made from.
import type { Command } from 'commander';

/** One option. */
export interface OptionWords {
  /** As in help: "-a, --all". */
  readonly flags: string;
  /** "-a" and "--all", those there are. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  /** The only values it takes, empty for any. */
  readonly choices: readonly string[];
  readonly about: string;
}

/** One positional argument. */
export interface ArgumentWords {
  readonly name: string;
  readonly required: boolean;
  readonly variadic: boolean;
  /** The only values it takes, empty for any. */
  readonly choices: readonly string[];
}

/** One command with those below it. */
export interface CommandWords {
  /** "" for the program itself. */
  readonly name: string;
  readonly about: string;
  readonly args: readonly ArgumentWords[];
  readonly options: readonly OptionWords[];
  readonly commands: readonly CommandWords[];
}

/** Everything that help shows of a command; what is hidden there is left out. */
export function wordsOf(command: Command, name = ''): CommandWords {
  const help = command.createHelp();
  return {
    name,
    about: command.description(),
    args: command.registeredArguments.map((one) => ({
      name: one.name(),
      required: one.required,
      variadic: one.variadic,
      choices: one.argChoices ?? [],
    })),
    options: help.visibleOptions(command).map((option) => ({
      flags: option.flags,
      names: [option.short, option.long].filter((one) => one !== undefined),
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
      about: help.optionDescription(option),
    })),
    commands: help
      .visibleCommands(command)
      .filter((one) => one.name() !== 'help')
      .map((one) => wordsOf(one, one.name())),
  };
}

/** "exec [options] <container> <command...>" without the options: how a command is called. */
export const synopsis = ({ name, args }: CommandWords): string =>
  [
    name,
    ...args.map((one) => {
      const word = `${one.name}${one.variadic ? '...' : ''}`;
      return one.required ? `<${word}>` : `[${word}]`;
    }),
  ].join(' ');
