// node check.mjs MODULES OUT FILE...: reads Kubernetes' objects from YAML, writes them to OUT as JSON
// ({FILE: [object ...]}), and says what is wrong with them: a key that comes twice, a type or a value
// that the schema refuses, a field that it does not know or that is missing. kubernetes-models checks
// values; its types and tsc know the fields. Of kinds that it does not have only the YAML is checked.
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [modules, out, ...files] = process.argv.slice(2);
const require = createRequire(join(resolve(modules), 'x.js'));
const YAML = require('yaml');
const ts = require('typescript');
const problems = [], sources = [], read = {};
const known = {};  // "apps/v1/Deployment": its class, or null

async function model(object) {
  const path = `${object.apiVersion}/${object.kind}`;
  if (!(path in known)) {
    const file = join(resolve(modules), 'node_modules/kubernetes-models', `${path}.js`);
    known[path] = existsSync(file) ? (await import(pathToFileURL(file)))[object.kind] : null;
  }
  return known[path];
}

for (const file of files) {
  read[file] = [];
  for (const document of YAML.parseAllDocuments(readFileSync(file, 'utf8'), { uniqueKeys: true })) {
    for (const error of document.errors) problems.push(`${file}: ${error.message}`);
    const object = document.toJS();
    if (object === null) continue;
    read[file].push(object);
    const name = `${file}: ${object.kind} ${object.metadata?.name}`;
    const Model = await model(object);
    if (Model === null) continue;
    try {
      new Model(object).validate();
    } catch (error) {
      problems.push(`${name}: ${error.message}`);
    }
    const type = `I${object.kind}`;
    sources.push({ name, path: `kubernetes-models/${object.apiVersion}/${object.kind}`, type, object });
  }
}

// One source with a literal for each object: tsc refuses a field of a literal that its type has not.
const text = [];
const starts = [];
sources.forEach((source, i) => {
  starts.push(text.length);
  text.push(`import type { ${source.type} as T${i} } from '${source.path}';`);
  text.push(...`export const v${i}: T${i} = ${JSON.stringify(source.object, null, 1)};`.split('\n'));
});
const folder = join(resolve(modules), 'src');
mkdirSync(folder, { recursive: true });
const main = join(folder, `objects-${process.pid}.ts`);
const content = text.join('\n');
const options = {
  strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, types: [],
  module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, lib: ['lib.es2022.d.ts'],
};
const host = ts.createCompilerHost(options);
const { getSourceFile, fileExists, readFile } = host;
host.getSourceFile = (path, ...more) => path === main
  ? ts.createSourceFile(path, content, ts.ScriptTarget.ES2022) : getSourceFile.call(host, path, ...more);
host.fileExists = (path) => path === main || fileExists.call(host, path);
host.readFile = (path) => path === main ? content : readFile.call(host, path);
for (const found of ts.getPreEmitDiagnostics(ts.createProgram([main], options, host))) {
  let where = 'types';
  if (found.file?.fileName === main) {
    const { line } = found.file.getLineAndCharacterOfPosition(found.start);
    const at = starts.findLastIndex((start) => start <= line);
    where = `${sources[at].name}: ${text[line].trim()}`;
  }
  problems.push(`${where}: ${ts.flattenDiagnosticMessageText(found.messageText, ' ')}`);
}

writeFileSync(out, JSON.stringify({ objects: read, problems, unknown: Object.keys(known).filter((k) => !known[k]) }));
