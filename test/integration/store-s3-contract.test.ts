import { storeContract } from "../../src/store/store.contract.ts";
import { startS3 } from "../harness/s3-server.ts";
import { storeUnderTest } from "./store-s3.ts";

storeContract("S3 on versitygw", async () => storeUnderTest(await startS3("versitygw"), "contract"));
storeContract("S3 on MinIO", async () => storeUnderTest(await startS3("minio"), "contract"));
