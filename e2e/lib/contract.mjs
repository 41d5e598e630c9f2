// How the public schema may change. docs/api.md has the rules for clients.
import {
  findBreakingChanges,
  findDangerousChanges,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';

/**
 * Classifies the changes from one schema to another.
 *
 * breaking: documents of clients fail or, after the change of a default, mean something else.
 * dangerous: documents work as before, but responses or inputs have something new that a client
 * must be prepared for, such as a value of an enum.
 * safe: the rest, that is additions that clients do not see unless they ask, descriptions and
 * deprecations.
 */
export function classify(before, after) {
  const isDefault = ({ type }) => type === 'ARG_DEFAULT_VALUE_CHANGE';
  const breaks = findBreakingChanges(before, after);
  const dangers = findDangerousChanges(before, after);
  const text = ({ description }) => description;
  const breaking = [...breaks, ...dangers.filter(isDefault)].map(text);
  return {
    breaking,
    dangerous: dangers.filter((change) => !isDefault(change)).map(text),
    safe: safeChanges(elements(before), elements(after), breaking),
  };
}

/** Returns a report of classified changes, a line each. */
export function report(changes) {
  return Object.entries(changes)
    .flatMap(([kind, list]) => list.map((change) => `${kind}: ${change}`))
    .join('\n');
}

function safeChanges(before, after, breaking) {
  const safe = [];
  for (const [name, now] of after) {
    const was = before.get(name);
    if (!was) {
      // A new type is reported once. What is new in an enum or an input is dangerous or breaking.
      const parent = now.parent && before.get(now.parent);
      if (!now.parent || (parent && now.isField)) safe.push(`${name} was added.`);
      continue;
    }
    const typed = breaking.some((change) => change.startsWith(`${name} `));
    if (was.type !== now.type && now.isField && !typed) safe.push(`${name} changed type from ${was.type} to ${now.type}.`);
    if (was.description !== now.description) safe.push(`${name} is described differently.`);
    if (was.deprecation !== now.deprecation) safe.push(now.deprecation ? `${name} is deprecated.` : `${name} is no longer deprecated.`);
  }
  return safe;
}

/** Returns the types of a schema and what they contain, by their coordinates (Type.field(arg:)). */
function elements(schema) {
  const found = new Map();
  const add = (name, parent, { description, deprecationReason, type }, isField = false) =>
    found.set(name, { parent, isField, description, deprecation: deprecationReason ?? null, type: type && String(type) });
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue;
    add(type.name, null, { description: type.description });
    if (isEnumType(type)) {
      for (const value of type.getValues()) add(`${type.name}.${value.name}`, type.name, value);
    } else if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) add(`${type.name}.${field.name}`, type.name, field);
    } else if (isObjectType(type) || isInterfaceType(type)) {
      for (const field of Object.values(type.getFields())) {
        const name = `${type.name}.${field.name}`;
        add(name, type.name, field, true);
        for (const arg of field.args) add(`${name}(${arg.name}:)`, name, arg);
      }
    }
  }
  return found;
}

/**
 * Returns what is wrong with the deprecations of a schema: each must name, in backticks, an existing
 * replacement that is not deprecated: a coordinate, or a neighbour's name.
 */
export function deprecationFaults(schema) {
  const all = elements(schema);
  const faults = [];
  for (const [name, { parent, deprecation }] of all) {
    if (deprecation == null) continue;
    const replaced = [...deprecation.matchAll(/`([^`]+)`/g)].some(([, word]) =>
      [word, `${parent}.${word}`, `${parent}(${word}:)`].some((other) => all.has(other) && all.get(other).deprecation == null),
    );
    if (!replaced) faults.push(`${name}: ${deprecation}`);
  }
  return faults;
}
