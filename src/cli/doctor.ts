// podwright doctor: what is wrong or unfinished on this node.
import type { Run } from './session.ts';

/** Prints the findings; the program ends with status 1 when one of them is an error. */
export const diagnose: Run = async ({ client, print, failWith }, _args, options) => {
  const { findings } = await client.call('Doctor', { collect: options['collect'] === true });
  if (findings.some(({ severity }) => severity === 'error')) failWith(1);
  print(findings, () => {
    if (findings.length === 0) return 'nothing is wrong\n';
    return findings
      .map(
        ({ severity, subject, problem, advice }) =>
          `${severity}: ${subject}: ${problem}\n${advice === '' ? '' : `  ${advice}\n`}`,
      )
      .join('');
  });
};
