// Label selectors. Must not know whose labels they are.

/** Whether an object's labels carry every pair of a selector (CRI: exact match of all). */
export const labelsMatch = (
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean => Object.entries(selector).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
