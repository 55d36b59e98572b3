// Text as roff source for man(7). Must not know what the pages are about.

/** Text with what roff would take for a request or an escape made plain; `code` becomes bold. */
export function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/`([^`]+)`/g, '\\fB$1\\fP')
    .replaceAll(/^(?=[.'])/gm, '\\&');
}

/** A manual page: its title line, then its parts. */
export function page(
  title: { name: string; section: number; date: string; source: string },
  parts: readonly string[],
): string {
  const { name, section, date, source } = title;
  return `.TH ${name.toUpperCase().replaceAll('-', '\\-')} ${section} ${date} "${source}"\n.nh\n${parts.join('')}`;
}

/** A section under a heading in capitals. */
export const section = (heading: string, ...body: readonly string[]): string => `.SH ${heading}\n${body.join('')}`;

/** A section below one. */
export const subsection = (heading: string, ...body: readonly string[]): string =>
  `.SS "${roff(heading)}"\n${body.join('')}`;

/** A paragraph. */
export const paragraph = (text: string): string => `.PP\n${roff(text.trim())}\n`;

/** A term in bold, and what it means. */
export const term = (what: string, meaning: string): string => `.TP\n.B ${roff(what)}\n${roff(meaning.trim())}\n`;

/** Lines that stay as they are. */
export const verbatim = (text: string): string => `.PP\n.nf\n.RS 4\n${roff(text.replace(/\n$/, ''))}\n.RE\n.fi\n`;
