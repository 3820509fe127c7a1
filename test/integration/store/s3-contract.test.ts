import { storeContract } from "../../../src/store/store.contract.ts";
import { startS3 } from "../../harness/s3-server.ts";
import { storeUnderTest } from "../../support/s3-store.ts";

storeContract("S3 on versitygw", async () => storeUnderTest(await startS3("versitygw"), "contract"));
storeContract("S3 on MinIO", async () => storeUnderTest(await startS3("minio"), "contract"));
