// Short names for the variables of the published code. Which variable has which name hardly changes the
// size of the code, but its compressed size by 5 %: names are chosen by search, which takes minutes, and
// kept in names.json. `npm run names` searches on from there.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import ts from 'typescript';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const stored = here('names.json');
/** The most frequent ones of code first. */
const letters = [...'etnsroiaclufdpmhgyIDETNSOARbvwCLMPUFGHkxBVWjzqKJQXYZ$_'];

/** Opens a scope, in which each name is that of one variable. */
const isScope = (node) => ts.isFunctionLike(node) || ts.isBlock(node) || ts.isForStatement(node) || ts.isForOfStatement(node) || ts.isCatchClause(node) || ts.isSourceFile(node);

/** Reports whether the build has shortened a property's name: all others have three letters and more, but for these. */
const isInternal = (name) => name.length < 3 && !['at', 'id', 'me', 'to'].includes(name);

/**
 * Returns the variables and internal properties of a module, in the order in which they first occur. Each has the
 * `places` of its name in the code, and the `rivals` that must have other names: variables that are used in the same
 * scope, or the other properties.
 */
function namesOf(code) {
  const file = ts.createSourceFile('code.js', code, ts.ScriptTarget.ES2022, true);
  const host = { ...ts.createCompilerHost({}), getSourceFile: (name) => (name == 'code.js' ? file : undefined), fileExists: (name) => name == 'code.js' };
  const checker = ts.createProgram(['code.js'], { allowJs: true, noLib: true, noResolve: true, target: ts.ScriptTarget.ES2022 }, host).getTypeChecker();
  const known = new Map(); // by symbol; globals and properties by name
  const users = new Map(); // of each scope

  function named(id, name, isFixed = false) {
    if (!known.has(id)) known.set(id, { name, isFixed, places: [], rivals: new Set() });
    return known.get(id);
  }

  const properties = new Set();
  /** Adds the place of a property's name, and returns the property if it is internal. */
  function property(identifier, place) {
    const { text } = identifier;
    if (!isInternal(text)) return;
    const found = named(`.${text}`, text);
    found.isProperty = true;
    properties.add(found);
    found.places.push(place ?? { start: identifier.getStart(), end: identifier.end, write: () => found.name });
    return found;
  }

  /** Adds a place of a variable's name. */
  function variable(symbol, identifier, { write = (name) => name, start = identifier.getStart(), end = identifier.end } = {}) {
    const declaration = symbol?.declarations?.[0];
    const found = named(declaration ? symbol : identifier.text, identifier.text, !declaration);
    const place = { start, end, write: () => write(found.name) };
    found.places.push(place);
    let home = declaration ?? file;
    do home = home.parent ?? home; while (!isScope(home));
    // Up to the scope of the declaration: a function's name is declared around it, and its parameters inside.
    for (let node = identifier; node; node = node.parent) {
      if (!isScope(node)) continue;
      if (!users.has(node)) users.set(node, new Set());
      users.get(node).add(found);
      if (node == home) break;
    }
    return place;
  }

  /** Adds a place of a property with the value of a variable: one name is enough if both have the same. */
  function both(key, symbol, identifier, start) {
    let internal;
    const write = (name) => {
      const text = internal?.name ?? key.text;
      return name == text ? name : `${text}:${name}`;
    };
    internal = property(key, variable(symbol, identifier, { start, write }));
  }

  (function visit(node) {
    if (ts.isImportSpecifier(node)) {
      const { text } = node.propertyName ?? node.name;
      variable(checker.getSymbolAtLocation(node.name), node.name, { start: node.getStart(), write: (name) => `${text} as ${name}` });
    } else if (ts.isExportSpecifier(node)) {
      const { text } = node.name;
      variable(checker.getExportSpecifierLocalTargetSymbol(node), node.propertyName ?? node.name, { end: node.end, write: (name) => `${name} as ${text}` });
    } else if (ts.isShorthandPropertyAssignment(node)) {
      both(node.name, checker.getShorthandAssignmentValueSymbol(node), node.name);
    } else if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent) && !node.dotDotDotToken && ts.isIdentifier(node.name)) {
      both(node.propertyName ?? node.name, checker.getSymbolAtLocation(node.name), node.name, node.getStart());
      if (node.initializer) visit(node.initializer);
    } else if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name) && ts.isIdentifier(node.initializer)) {
      both(node.name, checker.getSymbolAtLocation(node.initializer), node.initializer, node.getStart());
    } else if (ts.isIdentifier(node)) {
      const { parent } = node;
      const isProperty = ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) || ts.isMethodDeclaration(parent);
      if ((isProperty && parent.name == node) || (ts.isBindingElement(parent) && parent.propertyName == node)) property(node);
      else variable(checker.getSymbolAtLocation(node), node);
    } else ts.forEachChild(node, visit);
  })(file);

  for (const together of [...users.values(), properties]) for (const one of together) for (const other of together) if (one != other) one.rivals.add(other);
  return [...known.values()].filter(({ isFixed }) => !isFixed);
}

/** Cuts the code at the places of the names, and returns the function that puts it together with the present names. */
function cut(code, names) {
  const places = [...new Set(names.flatMap(({ places }) => places))].sort((a, b) => a.start - b.start);
  const parts = places.map(({ start }, i) => code.slice(places[i - 1]?.end ?? 0, start));
  const rest = code.slice(places.at(-1).end);
  return { places, parts, rest, text: () => parts.map((part, i) => part + places[i].write()).join('') + rest };
}

/** Returns a key for each name: a hash of the code around its first place, which does not depend on names. */
function keysOf(code, names) {
  const present = names.map(({ name }) => name);
  for (const one of names) one.name = '_';
  const { places, parts, rest } = cut(code, names);
  const written = places.map((place, i) => parts[i] + place.write());
  const keys = names.map(({ places: [first], isProperty }) => {
    const i = places.indexOf(first);
    const around = `${written.slice(Math.max(0, i - 10), i).join('')}|${written.slice(i, i + 10).join('')}${isProperty ? '.' : ''}`;
    return createHash('sha256').update(i + 10 < places.length ? around : around + rest).digest('base64url').slice(0, 6);
  });
  names.forEach((one, i) => (one.name = present[i]));
  const seen = new Map();
  return keys.map((key) => {
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return key + seen.get(key);
  });
}

/**
 * Returns the code of a file and its map with the stored names. A variable that is new gets any. `shortened` has the
 * names of the internal properties.
 */
export function withNames(file, code, map, shortened) {
  const names = namesOf(code);
  for (const { name, isProperty } of names) if (isProperty && !shortened.has(name)) throw new Error(`${name} must be in the list of isInternal`);
  const found = existsSync(stored) ? JSON.parse(readFileSync(stored, 'utf8'))[file] : {};
  const wanted = keysOf(code, names).map((key) => found[key]);
  for (const one of names) one.name = undefined;
  const isFree = (one, name) => [...one.rivals].every((rival) => rival.name != name);
  names.forEach((one, i) => {
    if (wanted[i] && isFree(one, wanted[i])) one.name = wanted[i];
  });
  for (const one of names) one.name ??= letters.find((letter) => isFree(one, letter)) ?? letters.flatMap((first) => letters.map((second) => first + second)).find((name) => isFree(one, name));
  const { places, text } = cut(code, names);
  // The code is one line.
  const [line, ...rest] = decode(map.mappings);
  let next = 0;
  let shift = 0;
  for (const segment of line) {
    for (; places[next]?.end <= segment[0]; next++) {
      const { start, end, write } = places[next];
      shift += write().length - (end - start);
    }
    segment[0] += shift;
  }
  return { code: text(), map: { ...map, mappings: encode([line, ...rest]) } };
}

/** Searches for better names of the variables in dist, and stores them. */
function search(seconds) {
  const files = ['index.js', 'react.js'].map((file) => {
    const [code] = readFileSync(here(`../dist/${file}`), 'utf8').split('//# sourceMappingURL');
    const names = namesOf(code);
    return { file, names, keys: keysOf(code, names), ...cut(code, names) };
  });
  const all = files.flatMap(({ names }) => names);
  // The code in parts, so that only the names that change are written.
  const text = files.flatMap(({ places, parts, rest }) => [...parts.flatMap((part, i) => [part, places[i].write()]), rest]);
  let offset = 1;
  for (const { places } of files) {
    places.forEach((place, i) => (place.at = offset + 2 * i));
    offset += 2 * places.length + 1;
  }
  const rename = (one, name) => {
    one.name = name;
    for (const { at, write } of one.places) text[at] = write();
  };
  const size = () => gzipSync(text.join(''), { level: 9 }).length;
  let present = size();
  let best = present;
  let bestNames = all.map(({ name }) => name);
  console.log(`${best} bytes`);
  let tried = 0;
  const begin = Date.now();
  for (let left = 1; left > 0; left = 1 - (Date.now() - begin) / (seconds * 1_000)) {
    const one = all[Math.floor(Math.random() * all.length)];
    const before = one.name;
    const name = letters[Math.floor(Math.random() ** 1.5 * letters.length)];
    // The two exchange their names.
    const others = [...one.rivals].filter((rival) => rival.name == name);
    if (name == before || others.some((other) => other.isFixed || [...other.rivals].some((rival) => rival != one && rival.name == before))) continue;
    const set = (mine, theirs) => {
      rename(one, mine);
      for (const other of others) rename(other, theirs);
    };
    set(name, before);
    tried++;
    const now = size();
    // A step back may lead further, in the beginning.
    if (now > present + 3 * Math.random() * left ** 2) set(before, name);
    else present = now;
    if (present < best) {
      best = present;
      bestNames = all.map(({ name }) => name);
    }
  }
  console.log(`${best} bytes after ${tried} steps`);
  all.forEach((one, i) => (one.name = bestNames[i]));
  const found = Object.fromEntries(files.map(({ file, names, keys }) => [file, Object.fromEntries(names.map(({ name }, i) => [keys[i], name]))]));
  writeFileSync(stored, `${JSON.stringify(found)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) search(Number(process.argv[2] ?? 300));
