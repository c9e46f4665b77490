export { type Client, type ClientOptions, createClient } from "./client.js";
export { type ConnectOptions, type ConnectResult, connect } from "./connect.js";
export * from "./connectionApi.js";
export { ApiError, type FieldProblem, type ProblemBody } from "./errors.js";
export type * from "./schema.js";
