// Writes src/generated.ts: the types of the results and variables of src/documents.ts, and of the
// enums and inputs that they use, from the schema of the server. With --check it writes nothing and
// fails if the file is out of date or a document does not fit the schema.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import {
  buildSchema, getNamedType, isAbstractType, isEnumType, isInputObjectType, isListType, isNonNullType, parse, typeFromAST, validate,
} from 'graphql';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const schema = buildSchema(readFileSync(here('../../../docs/schema.graphql'), 'utf8'));

const { outputFiles } = await build({ entryPoints: [here('../src/documents.ts')], bundle: true, format: 'esm', write: false });
const documents = Object.entries(await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`));

const named = new Map(); // the enums and inputs that are used
const scalars = { ID: 'string', String: 'string', DateTime: 'string', URL: 'string', Boolean: 'boolean', Int: 'number', Float: 'number' };

/** The TypeScript type; `inner` is that of the named type in it. */
function write(type, inner) {
  const nullable = (t) => {
    if (isListType(t)) return `readonly ${wrap(write(t.ofType, inner))}[]`;
    return inner;
  };
  return isNonNullType(type) ? nullable(type.ofType) : `${nullable(type)} | null`;
}
const wrap = (text) => (/[ |]/.test(text) && !/^\{[^]*\}$/.test(text) ? `(${text})` : text);

function leaf(type) {
  if (scalars[type.name]) return scalars[type.name];
  if (named.has(type.name)) return type.name;
  named.set(type.name, '');
  if (isEnumType(type)) {
    named.set(type.name, `${comment(type.description)}export type ${type.name} =\n${type.getValues().map(({ name }) => `  | '${name}'`).join('\n')};`);
  } else if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields()).map((field) => {
      const optional = !isNonNullType(field.type);
      return `  readonly ${field.name}${optional ? '?' : ''}: ${write(field.type, leaf(getNamedType(field.type)))};`;
    });
    named.set(type.name, `export interface ${type.name} {\n${fields.join('\n')}\n}`);
  } else throw new Error(`no TypeScript type for ${type.name}`);
  return type.name;
}
const comment = (text) => `/** ${text.replaceAll('\n', ' ')} */\n`;

function object(type, selectionSet, indent) {
  if (isAbstractType(type)) {
    const common = selectionSet.selections.filter(({ kind }) => kind === 'Field');
    const parts = selectionSet.selections.filter(({ kind }) => kind === 'InlineFragment');
    return parts.map((part) => {
      const selections = [...common, ...part.selectionSet.selections];
      return object(schema.getType(part.typeCondition.name.value), { selections }, indent);
    }).join(' | ');
  }
  const lines = selectionSet.selections.map(({ alias, name: { value: name }, selectionSet: inner }) => {
    if (name === '__typename') return `readonly __typename: '${type.name}';`;
    const field = type.getFields()[name].type;
    const of = getNamedType(field);
    return `readonly ${alias?.value ?? name}: ${write(field, inner ? object(of, inner, `${indent}  `) : leaf(of))};`;
  });
  return `{\n${lines.map((line) => `${indent}  ${line}\n`).join('')}${indent}}`;
}

const operations = documents.flatMap(([name, text]) => {
  const document = parse(text);
  const errors = validate(schema, document);
  if (errors.length) throw new Error(`${text}\n${errors.join('\n')}`);
  return document.definitions.map((operation) => {
    const { operation: kind, selectionSet, variableDefinitions } = operation;
    const variables = variableDefinitions.map(({ variable, type }) => {
      const of = typeFromAST(schema, type);
      return `  readonly ${variable.name.value}${isNonNullType(of) ? '' : '?'}: ${write(of, leaf(getNamedType(of)))};\n`;
    });
    return `export type ${name}Data = ${object(schema.getRootType(kind), selectionSet, '')};\n`
      + (variables.length ? `export interface ${name}Variables {\n${variables.join('')}}` : `export type ${name}Variables = Record<string, never>;`);
  });
});
for (const name of ['ErrorCode', 'Platform', 'Presence']) leaf(schema.getType(name));

const text = `// Written by \`npm run generate\` from the server's schema; do not edit.\n\n${[...[...named.keys()].sort().map((name) => named.get(name)), ...operations].join('\n\n')}\n`;
const target = here('../src/generated.ts');
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('clients/js/src/generated.ts is out of date; run: npm run generate --prefix clients/js');
  process.exitCode = 1;
}
