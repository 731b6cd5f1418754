// Reads [{language, text}] from standard input; writes, for each, the places that do not parse.
import { parser as logql } from "@grafana/lezer-logql";
import { parser as traceql } from "@grafana/lezer-traceql";
import { readFileSync } from "node:fs";

const PARSERS = { logql, traceql };

function errors({ language, text }) {
  const found = [];
  PARSERS[language].parse(text).iterate({
    enter(node) {
      if (node.type.isError) found.push(node.from);
    },
  });
  return found;
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(errors)));
