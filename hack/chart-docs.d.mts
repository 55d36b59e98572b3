/** The table of values, from the source of values.yaml. */
export function valuesTable(source: string): string;
/** Files of the chart that are made, by name, with what they should hold. */
export function made(): readonly [name: string, text: string][];
