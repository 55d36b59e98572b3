// `podwright pull` and `podwright push` over the image room. Wires, decides nothing.
import type { AccessInput, RegistryVerbs } from '../admin/registry-verbs.ts';
import type { RunningPull } from '../admin/running-pull.ts';
import type { Images } from '../image/images.ts';
import { formatReference, parseReference } from '../image/reference.ts';
import type { AuthConfig } from '../registry/credentials.ts';
import { parsePlatform } from '../registry/platform.ts';

/** How often a caller of `podwright pull` is told how far it is, in milliseconds. */
const tellEveryMs = 200;

const authOf = ({ username, password }: AccessInput): AuthConfig | null =>
  username === '' ? null : { username, password, auth: '', serverAddress: '', identityToken: '', registryToken: '' };

/** Both. */
export const registryVerbs = (images: Images): RegistryVerbs => ({
  // calls for an image that is being pulled already see the same progress
  async pull(input, onProgress, signal) {
    const { reference, authFile, skipVerify } = input;
    const platform = input.platform === '' ? null : parsePlatform(input.platform);
    const label = formatReference(parseReference(reference));
    const tell = (): void => {
      const running: RunningPull | undefined = images.progress().findLast((one) => one.reference === label);
      if (running) onProgress(running);
    };
    const asked = { reference, userSpecifiedImage: reference, annotations: {}, runtimeHandler: '', namespace: null };
    const timer = setInterval(tell, tellEveryMs);
    try {
      return await images.pull({ ...asked, auth: authOf(input), authFile, skipVerify, platform }, signal);
    } finally {
      clearInterval(timer);
    }
  },
  async push(input, onProgress, signal) {
    const { reference, target, compression, authFile, skipVerify } = input;
    const told = { reference: target || reference, startedAt: BigInt(Date.now()) * 1_000_000n };
    const request = { reference, target, compression, auth: authOf(input), authFile, skipVerify };
    const pushed = await images.push({ ...request, onProgress: (layers) => onProgress({ ...told, layers }) }, signal);
    const { id, manifestDigest: digest, size, sameManifest } = pushed;
    return { reference: pushed.reference, id, digest, size, sameManifest };
  },
});
