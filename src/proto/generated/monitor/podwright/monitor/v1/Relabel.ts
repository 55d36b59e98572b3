// Original file: proto/monitor.proto


export interface Relabel {
  'label'?: (string);
  'sources'?: (string)[];
  'files'?: (string)[];
  'refused'?: (string)[];
  'refusedTrees'?: (string)[];
}

export interface Relabel__Output {
  'label': (string);
  'sources': (string)[];
  'files': (string)[];
  'refused': (string)[];
  'refusedTrees': (string)[];
}
