#!/usr/bin/env node
// node watch.js STREAM HISTORY [FROM_ROW [KEYS.json]], or CONNECTION.json for both endpoints: print counts while they
// come, and what it was at the end as JSON.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Client } from "./client.js";

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const given = process.argv.slice(2);
if (given[0]?.endsWith(".json")) {
  const { stream, history, control } = read(given.shift());
  given.unshift(stream, history || control);
}
const [stream, history, from = "0", keyFile] = given;
if (history === undefined) {
  console.error("usage: node watch.js CONNECTION.json | STREAM HISTORY [FROM_ROW [KEYS.json]]");
  process.exit(2);
}
const keys = keyFile && read(keyFile);
const client = new Client({ stream, history, start: Number(from), keys });
const hash = createHash("sha256");
let rows = 0;
let batches = 0;
let saidAt = 0;
try {
  for await (const batch of client) {
    hash.update(batch.data);
    rows += batch.rows;
    batches++;
    if (Date.now() - saidAt > 1_000) {
      saidAt = Date.now();
      const { frame, x_nm: x } = batch.columns();
      console.error(`row ${client.next}, frame ${frame.at(-1)}, x ${x.at(-1).toFixed(1)} nm`);
    }
  }
  const sha256 = hash.digest("hex");
  const verified = from === "0" && client.end.digest ? client.end.digest === sha256 : null;
  console.log(JSON.stringify({ rows, batches, sha256, verified, outcome: client.end.outcome, rejected: client.rejected }));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
