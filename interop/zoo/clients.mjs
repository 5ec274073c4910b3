// The JavaScript clients: `clients.mjs NAME URL/read URL/write ...`; see clients.py.
import { createDefaultHttpClient, createPipelineFromOptions, createPipelineRequest } from "@azure/core-rest-pipeline";
import axios from "axios";
import axiosRetry, { retryAfter } from "axios-retry";
import nodeVault from "node-vault";

const path = "/v1/secret/zoo";

async function vault(endpoint, write) {
  const client = nodeVault({ apiVersion: "v1", endpoint, token: "root" });
  await (write ? client.write("secret/zoo", { a: "b" }) : client.read("secret/zoo"));
}

const withAxios = (options) => async (url, write) => {
  const client = axios.create();
  axiosRetry(client, options);
  await (write ? client.post(url + path, { a: "b" }) : client.get(url + path));
};

async function azure(url, write) {
  const pipeline = createPipelineFromOptions({});
  const request = createPipelineRequest({
    url: url + path,
    method: write ? "POST" : "GET",
    body: write ? '{"a":"b"}' : undefined,
    allowInsecureConnection: true,
  });
  await pipeline.sendRequest(createDefaultHttpClient(), request);
}

const clients = {
  "node-vault": vault,
  "axios-retry": withAxios({ retries: 3 }),
  "axios-retry, advised": withAxios({
    retries: 2,
    retryDelay: (count, error) =>
      retryAfter(error) + Math.random() * Math.min(20_000, 1_000 * 2 ** (count - 1)),
    retryCondition: (error) =>
      ["get", "head", "options", "put", "delete"].includes(error.config?.method) &&
      (!error.response || [429, 502, 503, 504].includes(error.response.status)) &&
      !(Number(error.response?.headers["retry-after"]) > 30),
  }),
  "core-rest-pipeline (JS)": azure,
};

const [name, ...targets] = process.argv.slice(2);
await Promise.all(
  targets.map(async (target) => {
    const slash = target.lastIndexOf("/");
    try {
      await clients[name](target.slice(0, slash), target.slice(slash + 1) === "write");
    } catch (error) {
      console.error(`${target}: ${error.name}`);
    }
    console.log(target);
  }),
);
