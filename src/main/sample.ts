/** The sample configuration file: every setting with its sentence, type and default, commented out. */
import { rows, variableName } from './settings.ts';

export function renderSample(): string {
  const lines = [
    "# Ottavia's settings, with the names of octavia.conf. Every line is a default; remove the # to change it.",
    '# The environment wins over this file, and the command line over both.',
  ];
  let current = '';
  for (const { section, option, row } of rows()) {
    if (section !== current) lines.push('', `[${section}]`);
    current = section;
    lines.push('', `# ${row.sentence}`, `# ${row.type}; environment: ${variableName(section, option)}`);
    const [fallback, standalone] = [row.write(row.default), row.write(row.standalone)];
    if (standalone !== fallback) {
      lines.push(`# in standalone: ${standalone === '' ? '(none: see above)' : standalone}`);
    }
    lines.push(`#${option} = ${fallback}`);
  }
  return `${lines.join('\n')}\n`;
}
