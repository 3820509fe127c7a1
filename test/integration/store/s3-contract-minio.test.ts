import { s3Contract } from "./s3-contract.ts";

s3Contract("minio");
